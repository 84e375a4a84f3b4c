package syncer_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// garbled makes all records of changes unreadable but those that tell of rows that are gone.
type garbled struct {
	next http.Handler
	on   bool
}

func (g *garbled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.on || !strings.Contains(strings.ToLower(r.URL.Path), "softwarevulnerabilitychangesbymachine") {
		g.next.ServeHTTP(w, r)
		return
	}
	r.Header.Del("Accept-Encoding")
	answer := httptest.NewRecorder()
	g.next.ServeHTTP(answer, r)
	var page map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	rows, _ := page["value"].([]any)
	for n := range rows {
		if row, _ := rows[n].(map[string]any); row["status"] != "Fixed" {
			rows[n] = "no record"
		}
	}
	w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
	_ = json.NewEncoder(w).Encode(page)
}

// TestAReadingOfChangesThatIsNotWholeEndsNothing has findings vanish and come back between two runs, the second of which can read only that they vanished.
func TestAReadingOfChangesThatIsNotWholeEndsNothing(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 20, 8)
	h.wire(defender.Config{Pages: defender.Pages{Rows: 400, Batch: 9}})
	bad := &garbled{next: h.server.Config.Handler}
	h.server.Config.Handler = bad
	h.readChangesAndCountMisses()
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.both(20 * time.Hour)
	mustSucceed(t, h.again(i, syncer.Incremental))
	source := h.machine(3)
	before := h.openOf([]string{source})
	for _, op := range []string{"remove_findings", "restore_findings"} {
		h.change(world.Change{Op: op, MachineID: source})
		h.both(7 * time.Hour)
	}
	bad.on = true
	run := h.again(i, syncer.Incremental)
	mustEnd(t, run, syncer.PartiallySucceeded, "")
	if c := findingCounts(t, run); !plan(run).Changes || c.Fixed != 0 || h.openOf([]string{source}) != before {
		t.Errorf("by %+v %d were fixed, %d are open of %d", plan(run), c.Fixed, h.openOf([]string{source}), before)
	}
	bad.on = false
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
	h.mustAudit(h.tenant)
}
