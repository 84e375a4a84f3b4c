package job_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

// queued puts jobs into the queue, the first one due first: each of a tenant, and of so many rows.
func (y *yard) queued(jobs []queuedJob) {
	y.t.Helper()
	for n, j := range jobs {
		y.exec(`insert into job (tenant_id, kind, subject, run_id, report_rows, run_at)
			values ($1, 'sync', gen_random_uuid(), $2::int, $3, now() - interval '1 h' + make_interval(secs => $2::int))`, j.tenant, n, j.rows)
	}
}

type queuedJob struct {
	tenant tenant.ID
	rows   int64
}

// places gives the places in the queue of what a claim takes, in order.
func (y *yard) places(r job.Room) []int64 {
	y.t.Helper()
	jobs, err := y.store.Claim(y.t.Context(), r, time.Minute)
	if err != nil {
		y.t.Fatal(err)
	}
	var places []int64
	for _, j := range jobs {
		places = append(places, j.RunID)
	}
	slices.Sort(places)
	return places
}

func TestLargeJobsArePassedOverWhileTheirPlacesAreTaken(t *testing.T) {
	t.Parallel()
	const small, large = 100, 101
	rule := job.Large{Rows: 100, Places: 2}
	for name, c := range map[string]struct {
		rows  []int64 // of jobs of a tenant each, in the order of the queue
		room  job.Room
		first []int64
		then  []int64 // taken by a second claim of the same holder
	}{
		"two of three":              {[]int64{large, large, large, small}, job.Room{Jobs: 3, Large: rule}, []int64{0, 1, 3}, nil},
		"in their order":            {[]int64{small, large, small, large}, job.Room{Jobs: 3, Large: rule}, []int64{0, 1, 2}, []int64{3}},
		"none without free workers": {[]int64{large, large, small}, job.Room{Jobs: 1, Large: rule}, []int64{0}, []int64{1}},
		"unknown ones are small":    {[]int64{0, 0, 0, large}, job.Room{Jobs: 4, Large: rule}, []int64{0, 1, 2, 3}, nil},
		"without a rule":            {[]int64{large, large, large}, job.Room{Jobs: 3}, []int64{0, 1, 2}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			var jobs []queuedJob
			for _, rows := range c.rows {
				jobs = append(jobs, queuedJob{y.tenant(), rows})
			}
			y.queued(jobs)
			c.room.Holder, c.room.PerTenant = "test", 1
			if got := y.places(c.room); !slices.Equal(got, c.first) {
				t.Errorf("took %v first, want %v", got, c.first)
			}
			if got := y.places(c.room); !slices.Equal(got, c.then) {
				t.Errorf("took %v then, want %v", got, c.then)
			}
			if len(c.first)+len(c.then) < len(c.rows) { // another process has places of its own
				c.room.Holder = "other"
				if got := y.places(c.room); len(got) == 0 {
					t.Error("another holder takes none")
				}
			}
		})
	}
}

// TestManyLargeJobsDoNotHideSmallOnes has more large jobs waiting than one claim looks at.
func TestManyLargeJobsDoNotHideSmallOnes(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	owner, small := y.tenant(), y.tenant()
	y.queued([]queuedJob{{owner, 1000}})
	room := job.Room{Holder: "test", Jobs: 1, PerTenant: 2000, Large: job.Large{Rows: 100, Places: 1}}
	if got := y.places(room); len(got) != 1 {
		t.Fatalf("took %v", got)
	}
	y.exec(`insert into job (tenant_id, kind, subject, run_id, report_rows, run_at)
		select $1, 'sync', gen_random_uuid(), 0, 1000, now() - interval '2 h' from generate_series(1, 1200)`, owner)
	y.queued([]queuedJob{{small, 1}})
	jobs, err := y.store.Claim(t.Context(), room, time.Minute)
	if err != nil || len(jobs) != 1 || jobs[0].Tenant != small {
		t.Errorf("took %+v, %v", jobs, err)
	}
}

// TestClaimsOfRandomQueuesLeaveAWorkerToSmallJobs claims and finishes by chance. No cap may ever be exceeded, and when claims take
// no more, whatever waits must have a reason to.
func TestClaimsOfRandomQueuesLeaveAWorkerToSmallJobs(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 5))
			y := newYard(t)
			workers := 2 + r.IntN(4)
			m := &claimModel{y: y, workers: workers, room: job.Room{Holder: "test", PerTenant: 1 + r.IntN(2), Large: job.Large{Rows: 100, Places: workers - 1}}}
			var tenants []tenant.ID
			for range 5 {
				tenants = append(tenants, y.tenant())
			}
			for range 24 {
				m.waiting = append(m.waiting, queuedJob{tenants[r.IntN(len(tenants))], []int64{0, 100, 101, 5000}[r.IntN(4)]})
			}
			y.queued(m.waiting)
			for range 60 {
				m.claimAll()
				m.check()
				if len(m.running) == 0 {
					break
				}
				m.finish(r.IntN(len(m.running)))
			}
			if len(m.waiting)+len(m.running) > 0 {
				t.Errorf("%d wait and %d run at the end", len(m.waiting), len(m.running))
			}
		})
	}
}

// claimModel is what has to be in the queue and in work.
type claimModel struct {
	y       *yard
	workers int
	room    job.Room
	waiting []queuedJob
	running []job.Job
}

// claimAll claims until nothing more is given, as an engine does.
func (m *claimModel) claimAll() {
	m.y.t.Helper()
	for len(m.running) < m.workers {
		m.room.Jobs = m.workers - len(m.running)
		jobs, err := m.y.store.Claim(m.y.t.Context(), m.room, time.Minute)
		if err != nil || len(jobs) > m.room.Jobs {
			m.y.t.Fatalf("%d jobs for %d workers, %v", len(jobs), m.room.Jobs, err)
		}
		if len(jobs) == 0 {
			return
		}
		for _, j := range jobs {
			m.running = append(m.running, j)
			at := slices.Index(m.waiting, queuedJob{j.Tenant, j.Rows})
			if at < 0 {
				m.y.t.Fatalf("%+v does not wait", j)
			}
			m.waiting = slices.Delete(m.waiting, at, at+1)
		}
	}
}

func (m *claimModel) check() {
	m.y.t.Helper()
	large, perTenant := 0, map[tenant.ID]int{}
	for _, j := range m.running {
		perTenant[j.Tenant]++
		if m.room.Large.Is(j.Rows) {
			large++
		}
		if perTenant[j.Tenant] > m.room.PerTenant || large > m.room.Large.Places {
			m.y.t.Fatalf("%d large ones run, and per tenant %v", large, perTenant)
		}
	}
	for _, j := range m.waiting {
		blocked := len(m.running) == m.workers || perTenant[j.tenant] == m.room.PerTenant || m.room.Large.Is(j.rows) && large == m.room.Large.Places
		if !blocked {
			m.y.t.Fatalf("a job of %d rows waits beside %d running ones, %d of them large", j.rows, len(m.running), large)
		}
	}
}

func (m *claimModel) finish(n int) {
	m.y.t.Helper()
	if err := m.y.store.Finish(m.y.t.Context(), m.running[n], job.Outcome{Ending: job.Done}); err != nil {
		m.y.t.Fatal(err)
	}
	m.running = slices.Delete(m.running, n, n+1)
}

// TestAJobThatTurnsOutLargeTakesAPlaceOrGoesBack has three such jobs, in two places.
func TestAJobThatTurnsOutLargeTakesAPlaceOrGoesBack(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.queued([]queuedJob{{y.tenant(), 0}, {y.tenant(), 0}, {y.tenant(), 0}})
	room := job.Room{Holder: "test", Jobs: 3, PerTenant: 1, Large: job.Large{Rows: 100, Places: 2}}
	jobs, err := y.store.Claim(t.Context(), room, time.Minute)
	if err != nil || len(jobs) != 3 {
		t.Fatalf("took %d, %v", len(jobs), err)
	}
	for n, want := range []bool{true, true, false} {
		if taken, err := y.store.TakeLargePlace(t.Context(), jobs[n], 101); err != nil || taken != want {
			t.Errorf("job %d: %v, %v", n, taken, err)
		}
	}
	if err := y.store.Finish(t.Context(), jobs[2], job.Outcome{Ending: job.HandBack}); err != nil {
		t.Fatal(err)
	}
	if _, err := y.store.TakeLargePlace(t.Context(), jobs[2], 101); !errors.Is(err, job.ErrLeaseLost) {
		t.Errorf("without a claim: %v", err)
	}
	if got := y.places(room); got != nil {
		t.Errorf("took %v while both places are taken", got)
	}
	if err := y.store.Finish(t.Context(), jobs[0], job.Outcome{Ending: job.Done}); err != nil {
		t.Fatal(err)
	}
	again, err := y.store.Claim(t.Context(), room, time.Minute)
	if err != nil || len(again) != 1 || again[0].ID != jobs[2].ID || again[0].Attempt != 1 || again[0].Rows != 101 {
		t.Errorf("took %+v, %v", again, err)
	}
}
