package syncer_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/syncer"
)

// TestAFrozenWorkerHoldsUpNoSuccessor stops a first import in the middle of its COPY. Whoever claims the job next ends that
// session and imports; what the stopped one does when it goes on changes nothing.
func TestAFrozenWorkerHoldsUpNoSuccessor(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 9, 6)
	h.connect(h.tenant, nil)
	dsn := h.member() // without the rights of a superuser
	line := postgrestest.NewLine(t, dsn, fmt.Sprintf("copy finding_t%d ", h.tenant))
	h.use(postgrestest.Open(t, line.URL(), postgres.ForWork()))
	frozen, lost, ended := h.syncer, h.claim(), make(chan job.Outcome, 1)
	go func() { ended <- frozen.Handle(t.Context(), lost) }()
	select {
	case <-line.Held():
	case o := <-ended:
		t.Fatalf("the import ended before its COPY: %+v", o)
	}
	h.sql(`update job set lease_until = now() - interval '1 second'`)

	var told bytes.Buffer
	options := postgres.ForWork()
	options.Actor = postgrestest.Actor
	successor, err := postgres.Open(t.Context(), dsn, options, slog.New(slog.NewJSONHandler(&told, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = successor.Close() }()
	h.use(successor)
	mustSucceed(t, h.work())
	h.mustEqualTruth(h.tenant)
	after := h.snapshot(h.tenant)
	if session := fmt.Sprintf(`"session":"defenderd import %d/%d/%d"`, h.tenant, lost.ID, lost.Fence); strings.Count(told.String(), session) != 1 {
		t.Errorf("nobody was told of %s: %s", session, told.String())
	}

	line.Mend()
	if o := <-ended; o.Ending == job.Done {
		t.Errorf("the stopped worker ended with %+v", o)
	}
	if h.snapshot(h.tenant) != after {
		t.Error("the stopped worker wrote")
	}
	h.mustAudit(h.tenant)
}

// member is the house's database for a user who may act as the application and nothing else.
func (h *house) member() string {
	h.t.Helper()
	dsn, err := url.Parse(h.url)
	if err != nil {
		h.t.Fatal(err)
	}
	name, password := "m_"+strings.ReplaceAll(uuid.NewString(), "-", ""), uuid.NewString()
	h.sql(fmt.Sprintf("create role %s login password '%s' in role defender_app", name, password))
	h.t.Cleanup(func() {
		db := h.owner()
		defer func() { _ = db.Close() }()
		if _, err := db.Exec("drop role " + name); err != nil {
			h.t.Error(err)
		}
	})
	dsn.User = url.UserPassword(name, password)
	return dsn.String()
}

// TestALostClaimEndsNobody wakes a worker that was stopped before its stage, while its successor loads.
func TestALostClaimEndsNobody(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 9, 6)
	i := h.connect(h.tenant, nil)
	lost := h.claim()
	h.sql(`update job set lease_until = now() - interval '1 second'`)
	stage, err := h.store.NewStage(t.Context(), h.claim(), i, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stage.Close() }()
	finding := []syncer.StagedFinding{{AssetID: 1, Vulnerability: 1, Software: []int32{1}}}
	if err := stage.AddFindings(t.Context(), h.now, finding); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.NewStage(t.Context(), lost, i, false); !errors.Is(err, job.ErrLeaseLost) {
		t.Errorf("a stage for a lost claim: %v", err)
	}
	if err := stage.AddFindings(t.Context(), h.now, finding); err != nil {
		t.Errorf("the successor was ended: %v", err)
	}
}
