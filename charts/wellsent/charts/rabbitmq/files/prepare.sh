#!/bin/bash
# Runs before the broker, in its image: writes to memory the files that the broker must own or reads only as files.
set -euo pipefail
umask 077
# The first process of a container gets only the signals that it traps.
trap 'exit 1' TERM

# A port that the NetworkPolicy opens between nodes for their tools.
WITHOUT_DATA_PORT=35682

fail() {
  echo "prepare: $1" >&2
  exit 1
}

write_cookie() {
  local cookie
  cookie=$(</secret/erlang-cookie)
  [[ $cookie =~ ^[[:graph:]]{20,255}$ ]] || fail "erlang-cookie must be 20 to 255 characters without spaces"
  # Erlang refuses a cookie that others may read, and files of a Secret can be read by the group.
  printf %s "$cookie" >home/.erlang.cookie.new
  chmod 400 home/.erlang.cookie.new
  mv -f home/.erlang.cookie.new home/.erlang.cookie
}

# KEY SETTING
write_setting() {
  local value
  value=$(<"/secret/$1")
  # In single quotes # begins no comment. A quote cannot be escaped, and $(NAME) is always a variable.
  [[ $value =~ ^[[:print:]]+$ && $value != *"'"* && $value != *'$('* ]] ||
    fail "$1 must be printable characters, without ' and without \$("
  printf "%s = '%s'\n" "$2" "$value"
}

open() { timeout 2 bash -c ": <'/dev/tcp/$1/$2'" 2>/dev/null; }

# Prints the hosts of the other nodes.
others() {
  local ordinal own=${RABBITMQ_NODENAME#*@}
  for ((ordinal = 0; ordinal < REPLICAS; ordinal++)); do
    [[ ${POD_NAME##*-} == "$ordinal" ]] || echo "${POD_NAME%-*}-$ordinal.${own#*.}"
  done
}

# A node without data must not guess whether there is a cluster, because of two clusters one would be lost. It joins a cluster that serves.
# Node 0 founds one if all others have no data either. They show it by listening on a port until there is a node 0 to join.
write_seed() {
  local hosts awaited port=$WITHOUT_DATA_PORT looks host closed
  [[ ! -e "/data/$RABBITMQ_NODENAME" ]] || return 0
  mapfile -t hosts < <(others)
  awaited=("${hosts[@]}")
  [[ $POD_NAME == *-0 ]] || { awaited=("${hosts[0]}") port=4369; }
  epmd -port "$WITHOUT_DATA_PORT" >/dev/null 2>&1 &
  for ((looks = 0; ; looks++)); do
    for host in "${hosts[@]}"; do
      if open "$host" "$AMQP_PORT"; then
        echo "prepare: no data here, and $host serves a cluster: joining it" >&2
        echo "cluster_formation.k8s.seed_node = rabbit@$host"
        return
      fi
    done
    closed=()
    for host in "${awaited[@]}"; do open "$host" "$port" || closed+=("${host%%.*}"); done
    ((${#closed[@]})) || return 0
    ((looks % 10)) || echo "prepare: no data here: waiting for ${closed[*]}" >&2
    sleep 1
  done
}

mkdir -p /private/home /private/etc/conf.d
cd /private
write_cookie
cp /configuration/enabled_plugins etc/enabled_plugins
cp /configuration/*.conf etc/conf.d/
{
  write_setting username default_user
  write_setting password default_pass
} >etc/conf.d/11-default-user.conf
write_seed >etc/conf.d/12-seed.conf
