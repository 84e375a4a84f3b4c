package defender

import "time"

// Endpoint names an upstream route for metrics and logs; the set is closed.
type Endpoint string

// Endpoints.
const (
	EndpointToken           Endpoint = "token"
	EndpointMachines        Endpoint = "machines"
	EndpointVulnerabilities Endpoint = "vulnerabilities"
	EndpointRows            Endpoint = "software_vulnerabilities_by_machine"
	EndpointChanges         Endpoint = "software_vulnerability_changes_by_machine"
	EndpointExportFiles     Endpoint = "software_vulnerabilities_export"
	EndpointBlob            Endpoint = "export_file" // at the storage service
	EndpointMapping         Endpoint = "machines_vulnerabilities"
)

// Outcome says how one upstream call ended; the set is closed.
type Outcome string

// Outcomes.
const (
	OutcomeOK           Outcome = "ok"
	OutcomeRefused      Outcome = "refused"      // 400, 401, 403 and other 4xx
	OutcomeThrottled    Outcome = "throttled"    // 429
	OutcomeServerError  Outcome = "server_error" // 5xx
	OutcomeTimeout      Outcome = "timeout"
	OutcomeNetworkError Outcome = "network_error" // no connection, reset, truncated body
	OutcomeMalformed    Outcome = "malformed"     // an answer that is not what the API promises
	OutcomeCancelled    Outcome = "cancelled"     // given up by this side
)

// Observer is told about every upstream call, so that a program can count them. Its methods may be called at the same
// time and must not block.
type Observer interface {
	// Call ends one HTTP exchange, the reading of its body included.
	Call(endpoint Endpoint, outcome Outcome, took time.Duration)
	// Throttled reports a wait as it begins, because Microsoft asked for it or the own budget was used up.
	Throttled(endpoint Endpoint, waited time.Duration)
	// TokenFailure reports a refused or failed token request by its fault code.
	TokenFailure(code string)
	// Malformed reports records that were skipped because they were no JSON objects or had no readable key.
	Malformed(endpoint Endpoint, records int)
	// BreakerOpened reports that a directory is left alone for a while, or for longer, because it does not answer.
	BreakerOpened()
}

type unobserved struct{}

func (unobserved) Call(Endpoint, Outcome, time.Duration) {}
func (unobserved) Throttled(Endpoint, time.Duration)     {}
func (unobserved) TokenFailure(string)                   {}
func (unobserved) Malformed(Endpoint, int)               {}
func (unobserved) BreakerOpened()                        {}
