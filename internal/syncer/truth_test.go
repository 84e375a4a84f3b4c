package syncer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

func (h *house) truth() *world.Truth { return h.state().Truth() }

func (h *house) state() *world.State { return h.stateOf(directory) }

func (h *house) stateOf(directoryID string) *world.State {
	s, ok := h.sim.State(directoryID)
	if !ok {
		h.t.Fatal("the simulator lost the directory")
	}
	return s
}

func (h *house) change(changes ...world.Change) {
	h.t.Helper()
	if err := h.sim.Change(directory, changes...); err != nil {
		h.t.Fatal(err)
	}
}

// assets reads all assets through the store, in the states given, keyed by source id.
func (h *house) assets(t tenant.ID, states ...inventory.AssetState) map[string]inventory.Asset {
	h.t.Helper()
	out := map[string]inventory.Asset{}
	page := inventory.PageRequest{Limit: 1000}
	for {
		items, next, err := h.store.ListAssets(h.t.Context(), t, inventory.AssetFilter{States: states}, page)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, a := range items {
			out[a.SourceID] = a
		}
		if page.After = next; next == nil {
			return out
		}
	}
}

// findings reads all findings in the states given as comparable lines.
func (h *house) findings(t tenant.ID, states ...inventory.FindingState) []string {
	h.t.Helper()
	sources := map[uuid.UUID]string{}
	for id, a := range h.assets(t) {
		sources[a.PublicID] = id
	}
	var out []string
	page := inventory.PageRequest{Limit: 1000}
	for {
		items, next, err := h.store.ListFindings(h.t.Context(), t, inventory.FindingFilter{States: states}, page)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, f := range items {
			var software []string
			for _, n := range f.Instances {
				software = append(software, n.Vendor+"/"+n.Product+"/"+n.Version)
			}
			out = append(out, findingLine(sources[f.AssetID], f.Vulnerability, f.Severity.String(), f.AttackVector.String(), software))
		}
		if page.After = next; next == nil {
			slices.Sort(out)
			return out
		}
	}
}

func findingLine(source, cve, severity, vector string, software []string) string {
	slices.Sort(software)
	return fmt.Sprintf("%s %s %s %s %s", source, cve, severity, vector, strings.Join(software, ","))
}

// mustEqualTruth compares what the tenant has in scope, row by row, with what a fresh import should hold.
func (h *house) mustEqualTruth(t tenant.ID) {
	h.t.Helper()
	h.mustEqualTruthOf(t, directory)
}

func (h *house) mustEqualTruthOf(t tenant.ID, directoryID string) {
	h.t.Helper()
	state := h.stateOf(directoryID)
	got := h.assets(t, inventory.AssetActive, inventory.AssetInactive)
	want := 0
	for a := range state.Assets() {
		want++
		asset, ok := got[a.SourceID]
		if !ok {
			h.t.Errorf("asset %s (%s) is missing", a.SourceID, a.Hostname)
			continue
		}
		if asset.Hostname != a.Hostname || asset.PrimaryIP.String() != a.PrimaryIP || string(asset.NameKind) != a.NameKind {
			h.t.Errorf("asset %s is %s %s %s, want %s %s %s", a.SourceID, asset.Hostname, asset.PrimaryIP, asset.NameKind, a.Hostname, a.PrimaryIP, a.NameKind)
		}
	}
	if len(got) != want {
		h.t.Errorf("%d assets in scope, want %d", len(got), want)
	}
	var lines []string
	for f := range state.Findings() {
		lines = append(lines, findingLine(f.SourceID, f.CVE, f.Severity, f.AttackVector, slices.Clone(f.Software)))
	}
	slices.Sort(lines)
	mustEqualLines(h.t, h.findings(t, inventory.FindingOpen), lines)
	h.mustAudit(t)
}

func mustEqualLines(t testing.TB, got, want []string) {
	t.Helper()
	missing, extra := difference(want, got), difference(got, want)
	if len(missing)+len(extra) == 0 {
		return
	}
	t.Errorf("%d findings, want %d; %d missing, e.g. %q; %d unexpected, e.g. %q",
		len(got), len(want), len(missing), missing[:min(3, len(missing))], len(extra), extra[:min(3, len(extra))])
}

func difference(a, b []string) (out []string) {
	in := map[string]bool{}
	for _, s := range b {
		in[s] = true
	}
	for _, s := range a {
		if !in[s] {
			out = append(out, s)
		}
	}
	return out
}
