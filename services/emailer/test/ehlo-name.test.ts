import { describe, expect, it } from "@jest/globals";
import type { NetworkInterfaceInfo } from "node:os";
import { ehloNameOf, isEhloName } from "../src/relay/ehlo-name.ts";

const common = { netmask: "", mac: "", cidr: null };
const loopback = at("127.0.0.1", { internal: true });
const linkLocal: NetworkInterfaceInfo = {
  ...common,
  family: "IPv6",
  address: "fe80::1",
  internal: false,
  scopeid: 2,
};
const global: NetworkInterfaceInfo = { ...linkLocal, address: "2001:db8::7", scopeid: 0 };

function at(address: string, { internal = false } = {}): NetworkInterfaceInfo {
  return { ...common, family: "IPv4", address, internal };
}

describe("ehloNameOf", () => {
  it.each([
    ["mail.example.com", { eth0: [at("10.1.2.3")] }, "mail.example.com"],
    ["3f2a9c1b7d4e", { lo: [loopback], eth0: [linkLocal, at("10.1.2.3")] }, "[10.1.2.3]"],
    ["wellsent-emailer-0", { eth0: [at("10.1.2.3")] }, "[10.1.2.3]"],
    ["my_host.example.com", { eth0: [at("10.1.2.3")] }, "[10.1.2.3]"],
    ["localhost", { lo: [loopback], eth0: [linkLocal, global] }, "[IPv6:2001:db8::7]"],
    ["host", { lo: [loopback], eth0: [linkLocal] }, "[127.0.0.1]"],
    ["10.1.2.3", {}, "[127.0.0.1]"],
    ["", {}, "[127.0.0.1]"],
  ])("of the host %j with %j is %s", (hostname, interfaces, name) => {
    expect(ehloNameOf(hostname, interfaces)).toBe(name);
    expect(isEhloName(name)).toBe(true);
  });
});

describe("isEhloName", () => {
  it.each([
    "mail.example.com",
    "xn--bcher-kva.example",
    "[192.0.2.1]",
    "[IPv6:2001:db8::1]",
    "a.b",
  ])("takes %s", (name) => {
    expect(isEhloName(name)).toBe(true);
  });

  it.each([
    "mail",
    "localhost",
    "my_mail.example.com",
    "-mail.example.com",
    "mail..example.com",
    "mail.example.com.",
    "bücher.example",
    "192.0.2.1",
    "[192.0.2.256]",
    "[2001:db8::1]",
    "[IPv6:192.0.2.1]",
    "[mail.example.com]",
    "not a name.example",
    `${"a".repeat(64)}.example.com`,
    "",
  ])("refuses %j", (name) => {
    expect(isEhloName(name)).toBe(false);
  });
});
