// IP protocol numbers of the upper layers that pk knows, in the kernel's spelling (linux/in.h,
// linux/in6.h). The only place that has them.

export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ICMPV6 = 58;

/** The number of a transport protocol: `IPPROTO.udp`. */
export const IPPROTO = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP } as const;
