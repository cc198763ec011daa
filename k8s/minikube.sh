#!/bin/sh
# A minikube of three nodes that enforces NetworkPolicies.
exec minikube start --nodes 3 --cni calico --cpus 2 --memory 4g --addons metrics-server "$@"
