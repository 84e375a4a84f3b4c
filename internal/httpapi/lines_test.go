package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// TestWholeListsComeAsLines reads each list that has them both ways, with and without a filter.
func TestWholeListsComeAsLines(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.furnish(h.mine)
	h.furnish(h.other)
	ctx, c := t.Context(), h.client(h.mine, tenant.ReadOnly)
	onePage := api.PageOptions{Limit: 1000}
	sameItems(t, "assets", c.AllAssets(ctx, api.ListAssetsOptions{PageOptions: onePage}), c.StreamAssets(ctx, api.ListAssetsOptions{}), 2)
	sameItems(t, "findings", c.AllFindings(ctx, api.ListFindingsOptions{PageOptions: onePage}), c.StreamFindings(ctx, api.ListFindingsOptions{}), 4)
	open := api.ListFindingsOptions{State: []api.FindingState{api.FindingOpen}}
	sameItems(t, "open findings", c.AllFindings(ctx, open), c.StreamFindings(ctx, open), 2)
	sameItems(t, "vulnerabilities", c.AllVulnerabilities(ctx, api.ListVulnerabilitiesOptions{PageOptions: onePage}), c.StreamVulnerabilities(ctx, api.ListVulnerabilitiesOptions{}), 2)
	for _, err := range api.New(h.url, h.mine.keys[tenant.ReadOnly]).StreamFindings(ctx, api.ListFindingsOptions{Sort: "severity"}) {
		var p *api.Problem
		if !errors.As(err, &p) || p.Code != api.CodeInvalidRequest {
			t.Errorf("a sorted stream: %v", err)
		}
	}
}

func sameItems[T any](t *testing.T, what string, paged, streamed iter.Seq2[T, error], want int) {
	t.Helper()
	a, b := jsonLines(t, paged), jsonLines(t, streamed)
	if len(a) != want || !slices.Equal(a, b) {
		t.Errorf("%s: %d wanted\npaged %v\nstreamed %v", what, want, a, b)
	}
}

func jsonLines[T any](t *testing.T, items iter.Seq2[T, error]) (list []string) {
	t.Helper()
	for item, err := range items {
		if err != nil {
			t.Fatal(err)
		}
		line, err := json.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(line))
	}
	slices.Sort(list)
	return list
}

// manyFindings are more than one write takes.
func manyFindings() []inventory.Finding {
	list := make([]inventory.Finding, 1000)
	for i := range list {
		list[i] = inventory.Finding{Vulnerability: "CVE-2026-21412", State: inventory.FindingOpen, Source: inventory.FromRow, AttackVector: inventory.VectorNetwork}
	}
	return list
}

// brokenFindings gives some findings and then fails, or blocks until it is told to go on.
type brokenFindings struct {
	httpapi.FindingReader
	batch []inventory.Finding
	then  func() error
}

func (f brokenFindings) EachFinding(_ context.Context, _ tenant.ID, _ inventory.FindingFilter, take func([]inventory.Finding) error) error {
	if err := take(f.batch); err != nil {
		return err
	}
	return f.then()
}

// TestABrokenStreamNeverLooksComplete fails before and after the first bytes went out.
func TestABrokenStreamNeverLooksComplete(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		batch []inventory.Finding
		then  func() error
	}{
		"before":               {nil, func() error { return errors.New("disk on fire") }},
		"after":                {manyFindings(), func() error { return errors.New("disk on fire") }},
		"with a panic, before": {nil, func() error { panic("fire") }},
		"with a panic, after":  {manyFindings(), func() error { panic("fire") }},
	} {
		batch := c.batch
		h := newHouse(t, func(d *httpapi.Deps) { d.Findings = brokenFindings{d.Findings, batch, c.then} })
		c := api.New(h.url, h.mine.keys[tenant.ReadOnly])
		var last error
		count := 0
		for _, err := range c.StreamFindings(t.Context(), api.ListFindingsOptions{}) {
			if last = err; err == nil {
				count++
			}
		}
		var p *api.Problem
		if last == nil || (count > 0) != (batch != nil) || errors.As(last, &p) != (batch == nil) || strings.Contains(last.Error(), "fire") {
			t.Errorf("%s the first bytes: %d findings, then %v", name, count, last)
		}
	}
}

// TestTheLastLineTellsHowManyCameBefore reads lists that need several writes, that are short, and that are empty.
func TestTheLastLineTellsHowManyCameBefore(t *testing.T) {
	t.Parallel()
	for _, count := range []int{0, 1, 1000} {
		h := newHouse(t, func(d *httpapi.Deps) {
			d.Findings = brokenFindings{d.Findings, manyFindings()[:count], func() error { return nil }}
		})
		a := h.send(raw{method: http.MethodGet, path: "/v1/findings", key: h.mine.keys[tenant.ReadOnly], header: map[string]string{"Accept": "application/x-ndjson"}})
		got := strings.SplitAfter(a.body, "\n")
		if len(got) != count+2 || got[count] != fmt.Sprintf(`{"_end":true,"count":%d}`+"\n", count) || got[count+1] != "" || strings.Count(a.body, `"_end"`) != 1 {
			t.Errorf("%d findings: %d lines, the last %q", count, len(got)-1, got[max(0, len(got)-2):])
		}
	}
}

// TestStreamsAreFew occupies every place, no tenant more than its share, and asks for one more each time.
func TestStreamsAreFew(t *testing.T) {
	t.Parallel()
	begun, proceed := make(chan struct{}, 8), make(chan struct{})
	h := newHouse(t, func(d *httpapi.Deps) {
		d.Findings = brokenFindings{d.Findings, nil, func() error { begun <- struct{}{}; <-proceed; return nil }}
	})
	ask := func(n neighbour, role tenant.Role) answered {
		return h.send(raw{method: http.MethodGet, path: "/v1/findings", key: n.keys[role], header: map[string]string{"Accept": "application/x-ndjson"}})
	}
	refused := func(a answered, status int, detail string) {
		t.Helper()
		if a.status != status || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, detail) {
			t.Errorf("refused with %d %v %s, want %d and %q", a.status, a.header, a.body, status, detail)
		}
	}
	const share = "3 lists are being streamed for the tenant already, of the 8"
	done := make(chan answered, 8)
	third := h.neighbour()
	for _, n := range []neighbour{h.mine, h.mine, h.mine, h.other, h.other, h.other, third, third} {
		go func() { done <- ask(n, tenant.ReadOnly) }()
		select {
		case <-begun:
		case a := <-done:
			t.Fatalf("not streamed: %d %s", a.status, a.body)
		}
		if n.id == h.other.id { // while the first one has its share
			refused(ask(h.mine, tenant.Admin), http.StatusTooManyRequests, share)
		}
	}
	refused(ask(third, tenant.ReadOnly), http.StatusServiceUnavailable, "8 lists are being streamed already")
	refused(ask(h.other, tenant.ReadOnly), http.StatusTooManyRequests, share)
	close(proceed)
	for range 8 {
		if a := <-done; a.status != http.StatusOK || a.body != "{\"_end\":true,\"count\":0}\n" || a.header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%d %q %v", a.status, a.body, a.header)
		}
	}
	for range 4 { // places come back, also to who had been refused
		if a := ask(h.mine, tenant.ReadOnly); a.status != http.StatusOK {
			t.Errorf("afterwards: %d %s", a.status, a.body)
		}
	}
}
