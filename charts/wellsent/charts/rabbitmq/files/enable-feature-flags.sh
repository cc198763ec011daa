#!/bin/bash
# Enables all stable feature flags once every node given runs this image's version. Without them the next minor version
# refuses to start. With them no node of the previous version can join again.
set -euo pipefail
install -m 400 /secret/erlang-cookie /var/lib/rabbitmq/.erlang.cookie

version=$(rabbitmqctl version)
for node in "$@"; do
  until [[ $(rabbitmq-diagnostics -q -n "$node" server_version 2>/dev/null) == "$version" ]]; do
    echo "$node does not run $version yet"
    sleep 10
  done
done
rabbitmqctl -n "$1" enable_feature_flag all
rabbitmqctl -n "$1" -q list_feature_flags name state
