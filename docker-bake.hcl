# The three images. `npm run images` builds them for this machine; the release workflow for two platforms, and pushes them.

variable "REGISTRY" {
  description = "Where they belong, with a slash at its end; empty for this machine"
  default     = ""
}
variable "VERSION" {
  description = "The version in package.json"
  default     = "dev"
}
variable "REVISION" {
  description = "The commit"
  default     = "unknown"
}
variable "SOURCE" {
  description = "Where the sources are"
  default     = "unknown"
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
  tags = ["${REGISTRY}wellsent-${service}:${VERSION}"]
}

group "release" {
  targets = ["release-image"]
}

target "release-image" {
  name      = "release-${service}"
  matrix    = { service = ["api", "emailer", "logger"] }
  inherits  = [service]
  platforms = ["linux/amd64", "linux/arm64"]
  attest    = ["type=sbom", "type=provenance,mode=max"]
}
