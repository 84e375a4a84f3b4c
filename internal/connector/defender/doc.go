// Package defender speaks Microsoft Entra ID and the Microsoft Defender for Endpoint API, and nothing else.
//
// It turns their answers into package inventory's facts and their refusals into package fault's codes. It judges no
// machine, stores nothing, and connects to no host but the configured login and API hosts.
package defender
