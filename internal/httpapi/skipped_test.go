package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

func TestSkippedRecordsComeInPagesAndAsLines(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := context.Background()
	i := h.connect(h.mine)
	jobs, err := h.store.Claim(ctx, job.Room{Holder: "test", Jobs: 1, PerTenant: 1}, time.Minute)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claim: %v %v", jobs, err)
	}
	run, err := h.store.BeginRun(ctx, jobs[0])
	must(t, err)
	run.State = syncer.Succeeded
	run.Report = syncer.Report{Stages: []syncer.StageReport{
		{Name: syncer.StageAssets, State: syncer.Succeeded, Counts: syncer.Counts{Fetched: 2, Skipped: 2}, SkippedBy: map[inventory.Reason]int64{inventory.PlatformMobile: 2}},
		{Name: syncer.StageVulnerabilities, State: syncer.Succeeded, Counts: syncer.Counts{Fetched: 7, Skipped: 7}, SkippedBy: map[inventory.Reason]int64{inventory.VectorIsLocal: 7}},
	}}
	must(t, h.store.FinishRun(ctx, jobs[0], run, syncer.Consequence{Succeeded: true, Skipped: []syncer.SkippedChunk{
		{Stage: syncer.StageAssets, Reason: inventory.PlatformMobile, Lines: 2, Records: 2, Body: packed(t, `{"s":"a","n":"iPhone","d":"iOS","r":1}{"s":"b","r":1}`)},
		{Stage: syncer.StageVulnerabilities, Reason: inventory.VectorIsLocal, Lines: 1, Records: 7, Body: packed(t, `{"v":"CVE-2026-1","r":7}`)},
	}}))
	c := h.client(h.mine, tenant.Analyst)
	sameItems(t, "skipped", c.AllSkipped(ctx, i.LastRun.ID, api.ListSkippedOptions{PageOptions: api.PageOptions{Limit: 1}}), c.StreamSkipped(ctx, i.LastRun.ID, api.ListSkippedOptions{}), 3)
	page, err := c.ListSkipped(ctx, i.LastRun.ID, api.ListSkippedOptions{Reason: []string{"vector_local"}})
	must(t, err)
	want := api.SkippedRecord{Stage: api.StageVulnerabilities, Reason: "vector_local", Records: 7, VulnerabilityID: "CVE-2026-1"}
	if len(page.Items) != 1 || page.Items[0] != want {
		t.Errorf("%+v", page.Items)
	}
	h.exec(`delete from run_skipped where reason = 'vector_local'`)
	var p *api.Problem
	if _, err := c.ListSkipped(ctx, i.LastRun.ID, api.ListSkippedOptions{}); !errors.As(err, &p) || p.Code != api.CodeNotFound || p.Detail == "" {
		t.Errorf("a list that is not kept: %v", err)
	}
}

// TestEveryReasonCanBeAskedForAtOnce asks for as many reasons as the contract allows, and for one more.
func TestEveryReasonCanBeAskedForAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	reasons := append(inventory.MachineReasons(), inventory.RowReasons()...)
	var all []string
	for len(all) < 50 {
		all = append(all, string(reasons[len(all)%len(reasons)]))
	}
	c := h.client(h.mine, tenant.Analyst)
	for _, asked := range []struct {
		reasons []string
		code    string
	}{{all, api.CodeNotFound}, {append(all, "vector_local"), api.CodeInvalidRequest}} {
		if _, err := c.ListSkipped(t.Context(), nobodys.run, api.ListSkippedOptions{Reason: asked.reasons}); !api.HasCode(err, asked.code) {
			t.Errorf("%d reasons: %v, want %s", len(asked.reasons), err, asked.code)
		}
	}
}

func packed(t *testing.T, lines string) []byte {
	t.Helper()
	var body bytes.Buffer
	w := gzip.NewWriter(&body)
	_, err := w.Write([]byte(lines))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}
