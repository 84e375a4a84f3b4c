package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/metrics"
	"pgp.internal/defender/internal/syncer"
)

var (
	_ job.Meter         = (*metrics.Metrics)(nil)
	_ syncer.Meter      = (*metrics.Metrics)(nil)
	_ defender.Observer = (*metrics.Metrics)(nil)
)

// operations are as many as the API has, and some more.
func operations() []metrics.Operation {
	var list []metrics.Operation
	for i := range 36 {
		list = append(list, metrics.Operation{Method: "GET", Route: fmt.Sprintf("/v1/things%d/{id}", i)})
	}
	for i := range 12 {
		list = append(list, metrics.Operation{Method: "POST", Route: fmt.Sprintf("/v1/things%d/{id}", i)})
	}
	return list
}

func newMetrics(t *testing.T) (*metrics.Metrics, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	return metrics.New(reg, metrics.Build{Version: "v1", Revision: "abc", GoVersion: "go1"}, operations()), reg
}

func TestLint(t *testing.T) {
	t.Parallel()
	_, reg := newMetrics(t)
	reg.MustRegister(metrics.NewStoreCollector(&figures{}, time.Now))
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func series(t *testing.T, reg prometheus.Gatherer) int {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "defender_") && !strings.HasPrefix(f.GetName(), "go_") && !strings.HasPrefix(f.GetName(), "process_") {
			t.Errorf("%s has no prefix of ours", f.GetName())
		}
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil {
				n += len(h.GetBucket()) + 3 // the last bucket, sum and count
				continue
			}
			n++
		}
	}
	return n
}

// feed tells every method a value that nobody knows, and every counter a value that everybody knows.
func feed(m *metrics.Metrics, i int) {
	odd := fmt.Sprintf("odd-%d", i)
	m.RequestStarted()
	m.RequestFinished("/v1/"+odd, odd, 100+i%900, time.Second)
	m.RunEnded(syncer.Kind(odd), syncer.RunState(odd), odd, time.Second)
	m.StageEnded(syncer.Stage(odd), syncer.RunState(odd), time.Second)
	m.Records(syncer.Stage(odd), odd, 3)
	m.JobEnded(job.Kind(odd), odd, time.Second)
	m.JobsRunning(i)
	m.Call(defender.Endpoint(odd), defender.Outcome(odd), time.Second)
	m.Throttled(defender.Endpoint(odd), time.Second)
	m.TokenFailure(odd)
	m.Malformed(defender.Endpoint(odd), 1)
	m.BreakerOpened()
}

func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	m, reg := newMetrics(t)
	reg.MustRegister(metrics.NewStoreCollector(&figures{}, time.Now))
	for i := range 1000 {
		feed(m, i)
	}
	after := series(t, reg)
	for i := range 1000 {
		feed(m, 1000+i)
	}
	// The Go runtime may add a series of its own between two looks, hence not equality.
	if again := series(t, reg); again > after+5 {
		t.Errorf("%d series, then %d", after, again)
	}
	if after > 1000 {
		t.Errorf("%d series are more than 1000", after)
	}
}

func TestKnownValuesAreNotOther(t *testing.T) {
	t.Parallel()
	m, reg := newMetrics(t)
	before := series(t, reg)
	m.RequestStarted()
	m.RequestFinished("/v1/things1/{id}", "POST", 422, time.Second)
	m.RunEnded(syncer.KindSync, syncer.Failed, fault.CodeSecretExpired, time.Second)
	m.RunEnded(syncer.KindPurge, syncer.Succeeded, "", time.Second)
	m.StageEnded(syncer.StageAssets, syncer.Succeeded, time.Second)
	for _, r := range inventory.MachineReasons() {
		m.Records(syncer.StageAssets, string(r), 2)
	}
	for _, r := range inventory.RowReasons() {
		m.Records(syncer.StageVulnerabilities, string(r), 2)
	}
	m.JobEnded(job.Sync, job.HandBack.String(), time.Second)
	m.Call(defender.EndpointRows, defender.OutcomeThrottled, time.Second)
	m.TokenFailure(fault.CodeConsentMissing)
	if after := series(t, reg); after != before {
		t.Errorf("%d series became %d: known series must start at 0", before, after)
	}
}

func TestCounters(t *testing.T) {
	t.Parallel()
	m, reg := newMetrics(t)
	m.RequestStarted()
	m.RequestStarted()
	m.RequestFinished("/v1/things1/{id}", "GET", 200, 100*time.Millisecond)
	m.Records(syncer.StageAssets, "stale", 7)
	m.Records(syncer.StageAssets, "stale", -3)
	m.Throttled(defender.EndpointRows, 1500*time.Millisecond)
	m.Throttled(defender.EndpointRows, 0)
	m.BreakerOpened()
	want := `
# HELP defender_http_requests_in_flight API requests being answered now.
# TYPE defender_http_requests_in_flight gauge
defender_http_requests_in_flight 1
# HELP defender_upstream_throttled_seconds_total Time spent waiting for Microsoft's call limits.
# TYPE defender_upstream_throttled_seconds_total counter
defender_upstream_throttled_seconds_total{endpoint="machines"} 0
defender_upstream_throttled_seconds_total{endpoint="software_vulnerabilities_by_machine"} 1.5
defender_upstream_throttled_seconds_total{endpoint="token"} 0
defender_upstream_throttled_seconds_total{endpoint="vulnerabilities"} 0
# HELP defender_upstream_waits_total Calls that waited for Microsoft's call limits.
# TYPE defender_upstream_waits_total counter
defender_upstream_waits_total{endpoint="machines"} 0
defender_upstream_waits_total{endpoint="software_vulnerabilities_by_machine"} 1
defender_upstream_waits_total{endpoint="token"} 0
defender_upstream_waits_total{endpoint="vulnerabilities"} 0
# HELP defender_upstream_breaker_openings_total Times that a directory was left alone for a while because it did not answer.
# TYPE defender_upstream_breaker_openings_total counter
defender_upstream_breaker_openings_total 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "defender_http_requests_in_flight", "defender_upstream_throttled_seconds_total",
		"defender_upstream_waits_total", "defender_upstream_breaker_openings_total"); err != nil {
		t.Error(err)
	}
}
