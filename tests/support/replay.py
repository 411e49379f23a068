"""Sends the packets of a capture again, as somebody who listened could: python3 replay.py PCAP IFACE
GAP_MS [SOURCE]. With SOURCE they come from that address. Checksums are made anew."""

import sys
import time

from scapy.all import IP, TCP, UDP, IPv6, conf, rdpcap

capture, interface, gap_ms, *source = sys.argv[1:]
packets = rdpcap(capture)
socket = conf.L2socket(iface=interface)
for packet in packets:
    network = packet.getlayer(IP) or packet.getlayer(IPv6)
    if source:
        network.src = source[0]
    for layer in (IP, TCP, UDP):
        if packet.haslayer(layer):
            del packet[layer].chksum
    socket.send(packet)
    time.sleep(float(gap_ms) / 1000)
print(len(packets))
