#!/bin/sh
# A minikube of three nodes that enforces NetworkPolicies. On all nodes but the first, minikube's own volumes belong to root
# (https://github.com/kubernetes/minikube/issues/12360), so those of the CSI driver become the default.
set -e
minikube start --nodes 3 --cni calico --cpus 2 --memory 4g \
  --addons metrics-server --addons volumesnapshots --addons csi-hostpath-driver "$@"

make_default() {
  kubectl patch storageclass "$1" -p "{\"metadata\":{\"annotations\":{\"storageclass.kubernetes.io/is-default-class\":\"$2\"}}}"
}
make_default standard false
make_default csi-hostpath-sc true
