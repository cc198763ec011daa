#!/bin/bash
# The startup probe: passes when clients may connect. The first time that is when all nodes are up, because a message that is confirmed by
# one node of three is on one disk only. Afterwards a majority is enough, and a single node of several does not boot.
whole=/var/lib/rabbitmq/mnesia/.wellsent-whole

check() {
  exec 3<>/dev/tcp/localhost/15672 || return
  printf 'GET /api/health/checks/%s HTTP/1.0\r\n\r\n' "$1" >&3
  read -r _ status _ <&3
  [[ $status == 200 ]]
}

check ready-to-serve-clients || exit 1
[[ -e $whole && $(<"$whole") -ge $REPLICAS ]] && exit 0
check reached-target-cluster-size || exit 1
echo "$REPLICAS" >"$whole"
