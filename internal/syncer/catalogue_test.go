package syncer_test

import (
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// catalogueReads tells how often the whole catalogue and its changes were asked for since the journal was cleared.
func (h *house) catalogueReads() (whole, changes int) {
	for _, e := range h.sim.Journal(0) {
		switch {
		case e.Route != "vulnerabilities" || strings.Contains(e.Query, "top=1") || strings.Contains(e.Query, "exposedMachines"): // a live check, or a reconciliation
		case strings.Contains(e.Query, "filter"):
			changes++
		default:
			whole++
		}
	}
	return whole, changes
}

func TestTheCatalogueIsReadOnceForAllTenants(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	if whole, changes := h.catalogueReads(); whole != 1 || changes != 0 {
		t.Errorf("the first run read %d times the whole and %d times the changes", whole, changes)
	}
	h.sim.ClearJournal()
	second := h.newTenant("Fabrikam", true)
	i := h.connect(second, nil)
	mustSucceed(t, h.work())
	h.mustEqualTruth(second)
	if whole, changes := h.catalogueReads(); whole+changes != 0 {
		t.Errorf("a fresh catalogue was read again: %d, %d", whole, changes)
	}
	h.sql(`update catalogue_read set read_at = read_at - interval '2 hours'`)
	mustSucceed(t, h.again(i, syncer.Incremental))
	if whole, changes := h.catalogueReads(); whole != 0 || changes != 1 {
		t.Errorf("an old catalogue was read %d times whole and %d times for changes", whole, changes)
	}
	h.sim.ClearJournal()
	mustSucceed(t, h.again(i, syncer.Full))
	h.sql(`update catalogue_read set read_at = read_at - interval '2 minutes'`)
	mustSucceed(t, h.again(i, syncer.Incremental))
	if whole, changes := h.catalogueReads(); whole+changes != 0 {
		t.Errorf("a young catalogue was read %d times whole and %d times for changes", whole, changes)
	}
	mustSucceed(t, h.again(i, syncer.Full))
	if whole, changes := h.catalogueReads(); whole != 0 || changes != 1 {
		t.Errorf("a full run by hand read %d times the whole and %d times the changes", whole, changes)
	}
	h.sim.ClearJournal()
	h.sql(`update catalogue_read set full_read_at = full_read_at - interval '8 days', read_at = read_at - interval '2 hours'`)
	mustSucceed(t, h.again(i, syncer.Incremental))
	if whole, changes := h.catalogueReads(); whole != 1 || changes != 0 {
		t.Errorf("after a week it was read %d times whole and %d times for changes", whole, changes)
	}
}

// TestARunTellsAsOfWhenTheCatalogueIs goes by a catalogue that an earlier run has read, by one of its own, and by one of yesterday that
// somebody else is reading anew.
func TestARunTellsAsOfWhenTheCatalogueIs(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	i := h.connect(h.tenant, nil)
	first := h.work()
	at := func(run syncer.Run) time.Time {
		t.Helper()
		mustSucceed(t, run)
		return run.Report.StageNamed(syncer.StageCatalogue).CatalogueAt
	}
	read := at(first)
	if first.Report.NoChanges || h.number(`select count(*) from catalogue_read where read_at = '`+read.Format(time.RFC3339Nano)+`'`) != 1 {
		t.Errorf("the first run tells %v", read)
	}
	again := h.again(i, syncer.Incremental)
	if !again.Report.NoChanges || !at(again).Equal(read) {
		t.Errorf("the next one tells %v, want %v", at(again), read)
	}
	told := syncer.Explain(again, h.integration(i), tenant.Entitlement{InternalAssessments: true}, h.now)
	if len(told) != 1 || told[0].Code != syncer.ExplainNothingNew || !strings.Contains(told[0].Detail, "as of "+read.UTC().Format("2 January 2006, 15:04 MST")) {
		t.Errorf("it explains %+v", told)
	}
	h.sql(`update catalogue_read set read_at = read_at - interval '1 day'`)
	if renewed := at(h.again(i, syncer.Incremental)); !renewed.After(read) {
		t.Errorf("the run that read it again tells %v, the first %v", renewed, read)
	}
	h.sql(`update catalogue_read set holder = 'busy', lease_until = now() + interval '1 hour', read_at = read_at - interval '1 day'`)
	if old := at(h.again(i, syncer.Incremental)); old.After(read) || old.IsZero() {
		t.Errorf("while it is read, a run tells %v", old)
	}
}

func TestABrokenReadOfTheCatalogueIsRepeatedAndFreesItsReservation(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	i := h.connect(h.tenant, nil)
	h.fault(defendersim.Fault{Route: "vulnerabilities", ResetAfter: 20_000})
	mustEnd(t, h.work(), syncer.PartiallySucceeded, fault.CodeUpstreamUnavailable)
	if n := h.number(`select count(*) from catalogue_read where lease_until is null and read_at is null`); n != 1 {
		t.Error("a broken read counts as one, or its reservation is still there")
	}
	h.sim.ClearFaults()
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}

func TestAReservationOfADeadReaderRunsOut(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	i := h.connect(h.tenant, nil)
	h.sql(`insert into catalogue_read (source, holder, lease_until) values ('microsoft-defender', 'dead', now() - interval '1 second')`)
	mustSucceed(t, h.work())
	h.mustEqualTruth(h.tenant)

	// While somebody else reads, an older catalogue serves: nobody waits.
	h.sql(`update catalogue_read set holder = 'busy', lease_until = now() + interval '1 hour', read_at = now() - interval '1 day'`)
	h.sim.ClearJournal()
	mustSucceed(t, h.again(i, syncer.Incremental))
	if whole, changes := h.catalogueReads(); whole+changes != 0 {
		t.Error("two runs read the catalogue at once")
	}
	if n := h.number(`select count(*) from catalogue_read where holder = 'busy'`); n != 1 {
		t.Error("the reservation of somebody else was given back")
	}
}

// TestOfTwoFirstSyncsOneReadsAndTheOtherWaits holds the reader until the other one has arrived at the catalogue.
func TestOfTwoFirstSyncsOneReadsAndTheOtherWaits(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	second := h.newTenant("Fabrikam", true)
	h.connect(h.tenant, nil)
	h.connect(second, nil)
	h.sim.ClearJournal()
	reader := h.holdAt("vulnerabilities")
	waiting, ending := h.claim(), make(chan job.Outcome, 1)
	go func() { ending <- h.syncer.Handle(t.Context(), waiting) }()
	for h.number(`select count(*) from run where stage = 'catalogue'`) < 2 {
		if t.Context().Err() != nil {
			t.Fatal("the second run never came to the catalogue")
		}
	}
	select {
	case o := <-ending:
		t.Fatalf("the second run did not wait: %v", o.Ending)
	default:
	}
	if o := reader.release(); o.Ending != job.Done {
		t.Errorf("the reader ended with %v", o.Ending)
	}
	if o := <-ending; o.Ending != job.Done {
		t.Errorf("the other one ended with %v", o.Ending)
	}
	h.mustEqualTruth(h.tenant)
	h.mustEqualTruth(second)
	if whole, _ := h.catalogueReads(); whole != 1 {
		t.Errorf("the whole catalogue was read %d times", whole)
	}
}

// TestAChangedVulnerabilityIsJudgedAnew changes the stored catalogue, since the simulator's never changes; the rows stay.
func TestAChangedVulnerabilityIsJudgedAnew(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 10, 8)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	first := h.truthOf(h.machine(1))[0]
	old := h.number(`select severity from vulnerability where name = $1`, first.CVE)

	h.sql(`update vulnerability set severity_word = 'Low', severity = 1 where name = $1`, first.CVE)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	exposed := h.number(`select open_assets from exposure e join vulnerability v on v.id = e.vulnerability_id where v.name = $1`, first.CVE)
	if c := findingCounts(t, run); exposed == 0 || (old != 1 && c.Updated != exposed) || c.Fixed+c.Reopened+c.OutOfScope != 0 {
		t.Errorf("counts %+v, %d exposed", c, exposed)
	}
	if f := h.findingsOf(h.tenant, first.SourceID)[first.CVE]; f.Severity != inventory.SeverityLow || f.State != inventory.FindingOpen {
		t.Errorf("the finding is %s, %s", f.Severity, f.State)
	}
	if v, err := h.store.Vulnerability(t.Context(), h.tenant, first.CVE); err != nil || v.Severity != inventory.SeverityLow {
		t.Errorf("the vulnerability is %s, %v", v.Severity, err)
	}
	h.mustAudit(h.tenant)

	h.sql(`update vulnerability set vector = 'CVSS:3.1/AV:L/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H', attack_vector = 3 where name = $1`, first.CVE)
	run = h.again(i, syncer.Incremental)
	if c := findingCounts(t, run); c.OutOfScope != exposed {
		t.Errorf("counts after the vector became local: %+v, want %d out of scope", c, exposed)
	}
	if f := h.findingsOf(h.tenant, first.SourceID)[first.CVE]; f.State != inventory.FindingOutOfScope || f.StateReason != "vector_local" {
		t.Errorf("the finding is %s %q", f.State, f.StateReason)
	}
	h.mustAudit(h.tenant)

	// The next full read sets it right.
	h.sql(`update catalogue_read set full_read_at = full_read_at - interval '8 days'`)
	run = h.again(i, syncer.Incremental)
	if c := countsOf(t, run, syncer.StageCatalogue); c.Updated != 1 {
		t.Errorf("the catalogue's counts: %+v", c)
	}
	h.mustEqualTruth(h.tenant)
}

// TestAVulnerabilityWithoutAWordTakesTheWorstOfItsFindings lets the rows decide.
func TestAVulnerabilityWithoutAWordTakesTheWorstOfItsFindings(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 10, 8)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	first := h.truthOf(h.machine(1))[0]
	h.sql(`update vulnerability set severity_word = '', severity = 1, score = 1.5 where name = $1`, first.CVE)
	mustSucceed(t, h.again(i, syncer.Full))
	v, err := h.store.Vulnerability(t.Context(), h.tenant, first.CVE)
	if err != nil || v.Severity.String() != first.Severity {
		t.Errorf("the vulnerability is %s, its findings are %s, %v", v.Severity, first.Severity, err)
	}
}

func TestTheCatalogueCannotBeReservedTwice(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 1)
	h.connect(h.tenant, nil)
	one := h.claim()
	two := one
	two.Subject[0]++
	policy := syncer.DefaultCataloguePolicy()
	first, err := h.store.BeginCatalogue(t.Context(), one, "microsoft-defender", policy)
	if err != nil || !first.Read || !first.Since.IsZero() {
		t.Fatalf("the first turn: %+v, %v", first, err)
	}
	if turn, err := h.store.BeginCatalogue(t.Context(), two, "microsoft-defender", policy); err != nil || turn.Read || !turn.Wait {
		t.Errorf("the second turn: %+v, %v", turn, err)
	}
	if turn, err := h.store.BeginCatalogue(t.Context(), one, "microsoft-defender", policy); err != nil || !turn.Read {
		t.Errorf("the same run after a crash: %+v, %v", turn, err)
	}
	if err := h.store.EndCatalogue(t.Context(), two, "microsoft-defender", first, true); err != nil {
		t.Fatal(err)
	}
	if turn, err := h.store.BeginCatalogue(t.Context(), two, "microsoft-defender", policy); err != nil || !turn.Wait {
		t.Errorf("somebody else's end freed the reservation: %+v, %v", turn, err)
	}
	if err := h.store.EndCatalogue(t.Context(), one, "microsoft-defender", first, true); err != nil {
		t.Fatal(err)
	}
	policy.MaxAge = 0
	turn, err := h.store.BeginCatalogue(t.Context(), two, "microsoft-defender", policy)
	if err != nil || !turn.Read || !turn.Since.Equal(first.StartedAt.Add(-policy.Overlap).Truncate(time.Microsecond)) {
		t.Errorf("the next turn: %+v, %v; the first began %v", turn, err, first.StartedAt)
	}
}
