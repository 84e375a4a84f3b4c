package httpapi

import (
	"strings"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// words pairs the wire's words with the domain's values, in the order in which they are told.
type words[T any] []word[T]

type word[T any] struct {
	text  string
	value T
}

func (w words[T]) parse(text string) (T, bool) {
	for _, x := range w {
		if x.text == text {
			return x.value, true
		}
	}
	var none T
	return none, false
}

func (w words[T]) list() string {
	texts := make([]string, len(w))
	for i, x := range w {
		texts[i] = x.text
	}
	return strings.Join(texts, ", ")
}

// wordFor is the wire's word for a value; a value without a word is a defect of this table.
func wordFor[T comparable](w words[T], value T) string {
	for _, x := range w {
		if x.value == value {
			return x.text
		}
	}
	panic("httpapi: a value has no word on the wire")
}

// same makes words that are spelled alike on the wire and in the domain.
func same[T ~string](values ...T) words[T] {
	w := make(words[T], len(values))
	for i, v := range values {
		w[i] = word[T]{string(v), v}
	}
	return w
}

var (
	severities = words[inventory.Severity]{
		{"critical", inventory.SeverityCritical}, {"high", inventory.SeverityHigh}, {"medium", inventory.SeverityMedium},
		{"low", inventory.SeverityLow}, {"unknown", inventory.SeverityUnknown},
	}
	vectors = words[inventory.AttackVector]{
		{"network", inventory.VectorNetwork}, {"adjacent", inventory.VectorAdjacent}, {"local", inventory.VectorLocal},
		{"physical", inventory.VectorPhysical}, {"unknown", inventory.VectorUnknown},
	}
	findingStates = words[inventory.FindingState]{
		{"open", inventory.FindingOpen}, {"fixed", inventory.FindingFixed}, {"out_of_scope", inventory.FindingOutOfScope},
	}
	severitySources = words[inventory.SeveritySource]{
		{"vulnerability", inventory.FromVulnerable}, {"row", inventory.FromRow}, {"derived", inventory.FromScore},
		{"derived", inventory.FromRowScore}, {"none", inventory.FromNothing},
	}
	assetStates = same(inventory.AssetActive, inventory.AssetInactive, inventory.AssetStale, inventory.AssetOutOfScope,
		inventory.AssetMerged, inventory.AssetRemoved)
	integrationStates = same(connector.StateActive, connector.StatePaused, connector.StateDegraded, connector.StateActionRequired,
		connector.StateDisconnecting, connector.StateDisconnected)
	runStates = same(syncer.Queued, syncer.Running, syncer.Cancelling, syncer.Succeeded, syncer.PartiallySucceeded, syncer.Failed,
		syncer.Cancelled)
	runModes = same(syncer.Incremental, syncer.Full)
	surfaces = same("internal")

	tenantStates = same(tenant.Active, tenant.Suspended, tenant.Deleting)

	auditActions  = same(audit.Actions()...)
	auditOutcomes = same(audit.Succeeded, audit.Refused, audit.Failed)

	// The wire has fewer families than the rules: server and client differ in the platform, and the rest is rare.
	osFamilies = words[[]string]{
		{"windows", []string{inventory.FamilyWindows, inventory.FamilyWindowsServer}}, {"linux", []string{inventory.FamilyLinux}},
		{"macos", []string{inventory.FamilyMacOS}}, {"other", []string{inventory.FamilyOther, inventory.FamilyBSD, inventory.FamilyUnix}},
	}
	// What becomes of data, and whether that is a purge.
	disposals = words[bool]{{"retain", false}, {"purge", true}}
)
