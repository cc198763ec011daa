# The three images. `npm run images` builds them for this machine; the release workflow builds them for two platforms.

variable "REGISTRY" {
  description = "The registry with a slash at its end; empty for this machine"
  default     = ""
}
variable "VERSION" {
  description = "The version in package.json"
  default     = "dev"
}
variable "TAG" {
  description = "The tag, if it is not the version"
  default     = ""
}
variable "REVISION" {
  description = "The commit"
  default     = "unknown"
}
variable "SOURCE" {
  description = "The URL of the repository"
  default     = "unknown"
}
variable "BASES" {
  description = "Digests of base images, a JSON object of `name:tag` to `sha256:…`; a base that is not in it is pulled by its tag"
  default     = "{}"
}
variable "SCANNER" {
  description = "The image that makes the SBOM"
  default     = "docker/buildkit-syft-scanner:stable-1"
}

group "default" {
  targets = ["image"]
}

target "image" {
  name   = service
  matrix = { service = ["api", "emailer", "logger"] }
  args = {
    SERVICE  = service
    VERSION  = VERSION
    REVISION = REVISION
    SOURCE   = SOURCE
  }
  contexts = { for name, digest in jsondecode(BASES) : name => "docker-image://${name}@${digest}" }
  tags     = ["${REGISTRY}wellsent-${service}:${TAG == "" ? VERSION : TAG}"]
}

group "release" {
  targets = ["release-image"]
}

target "release-image" {
  name      = "release-${service}"
  matrix    = { service = ["api", "emailer", "logger"] }
  inherits  = [service]
  platforms = ["linux/amd64", "linux/arm64"]
  attest    = ["type=sbom,generator=${SCANNER}", "type=provenance,mode=max"]
}
