# shellcheck shell=sh
# The environment of every script here; sourced with the project's folder as the current one.
# The pinned Deno may lie in .deno/bin (scripts/setup puts it there): that one goes first.
# Certificates of the machine are trusted beside Mozilla's, for proxies with their own authority.

deno_version=$(cat .dvmrc)
PATH=$PWD/.deno/bin:$PATH:/usr/sbin:/sbin
DENO_TLS_CA_STORE=${DENO_TLS_CA_STORE:-mozilla,system}
DENO_NO_UPDATE_CHECK=1
export deno_version PATH DENO_TLS_CA_STORE DENO_NO_UPDATE_CHECK

# The pinned version is the only one that counts: another Deno on PATH is as good as none.
deno_is_pinned() {
  case "$(deno --version 2>/dev/null)" in
    "deno $deno_version "*) return 0 ;;
    *) return 1 ;;
  esac
}
