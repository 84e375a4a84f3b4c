// Package conformance checks over plain HTTP whether a double of Microsoft Entra ID and Defender for Endpoint behaves like the
// originals, statement by statement.
package conformance
