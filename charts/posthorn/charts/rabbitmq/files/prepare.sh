#!/bin/bash
# Runs before the broker, in its image: lays out in memory what the broker must own, or reads from files only.
set -euo pipefail
umask 077

fail() {
  echo "prepare: $1" >&2
  exit 1
}

write_cookie() {
  local cookie
  cookie=$(</secret/erlang-cookie)
  [[ $cookie =~ ^[[:graph:]]{20,255}$ ]] || fail "erlang-cookie must be 20 to 255 characters without spaces"
  # Erlang refuses a cookie that others may read, and a Secret's files have the group's bits set.
  printf %s "$cookie" >home/.erlang.cookie.new
  chmod 400 home/.erlang.cookie.new
  mv -f home/.erlang.cookie.new home/.erlang.cookie
}

# KEY SETTING
write_setting() {
  local value
  value=$(<"/secret/$1")
  # In single quotes, where # begins no comment; nothing can stand for a quote, and $(NAME) is always a variable.
  [[ $value =~ ^[[:print:]]+$ && $value != *"'"* && $value != *'$('* ]] ||
    fail "$1 must be printable characters, without ' and without \$("
  printf "%s = '%s'\n" "$2" "$value"
}

open() { timeout 2 bash -c ": <'/dev/tcp/$1/$2'" 2>/dev/null; }

# Node 0 without data founds a cluster, unless the others serve one: then it has lost its volume, and joins them as any other
# node does by itself. The others begin to serve only after there was a node 0.
write_seed() {
  local host=${RABBITMQ_NODENAME#*@} deadline=$((SECONDS + 20)) ordinal peer waiting
  [[ $POD_NAME == *-0 && ! -e "/data/$RABBITMQ_NODENAME" ]] || return 0
  while ((SECONDS < deadline)); do
    waiting=0
    for ((ordinal = 1; ordinal < REPLICAS; ordinal++)); do
      peer=${POD_NAME%-0}-$ordinal.${host#*.}
      if open "$peer" "$AMQP_PORT"; then
        echo "prepare: no data here, and $peer serves a cluster: joining it" >&2
        echo "cluster_formation.k8s.seed_node = rabbit@$peer"
        return
      fi
      # It runs, and a NetworkPolicy lets us through, which can take a moment in a new pod.
      open "$peer" 4369 || waiting=1
    done
    ((waiting)) || break
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
