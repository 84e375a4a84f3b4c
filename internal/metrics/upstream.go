package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/fault"
)

type upstreamMetrics struct {
	endpoints, outcomes, codes words

	calls         *prometheus.CounterVec
	durations     *prometheus.HistogramVec
	waits         *prometheus.CounterVec
	throttled     *prometheus.CounterVec
	tokenFailures *prometheus.CounterVec
	malformed     *prometheus.CounterVec
	breakers      prometheus.Counter
}

func newUpstreamMetrics(f factory) upstreamMetrics {
	endpoints := []defender.Endpoint{defender.EndpointToken, defender.EndpointMachines, defender.EndpointVulnerabilities, defender.EndpointRows}
	ends := []defender.Outcome{
		defender.OutcomeOK, defender.OutcomeRefused, defender.OutcomeThrottled, defender.OutcomeServerError, defender.OutcomeTimeout,
		defender.OutcomeNetworkError, defender.OutcomeMalformed, defender.OutcomeCancelled,
	}
	m := upstreamMetrics{
		endpoints: wordsOf(endpoints...), outcomes: wordsOf(ends...), codes: wordsOf(tokenCodes()...),
		calls: f.counterVec("upstream_calls_total", "Calls to Microsoft by endpoint and outcome.", "endpoint", "outcome"),
		durations: f.histogramVec("upstream_call_duration_seconds", "Duration of calls to Microsoft, their bodies included.",
			[]float64{0.1, 0.5, 2, 10, 60}, "endpoint"),
		waits:         f.counterVec("upstream_waits_total", "Calls that waited for Microsoft's call limits.", "endpoint"),
		throttled:     f.counterVec("upstream_throttled_seconds_total", "Time spent waiting for Microsoft's call limits.", "endpoint"),
		tokenFailures: f.counterVec("upstream_token_failures_total", "Refused or failed token requests by problem code.", "code"),
		malformed:     f.counterVec("upstream_malformed_records_total", "Records from Microsoft that could not be read.", "endpoint"),
		breakers:      f.counter("upstream_breaker_openings_total", "Times that a directory was left alone for a while because it did not answer."),
	}
	for _, e := range endpoints {
		for _, o := range ends {
			m.calls.WithLabelValues(string(e), string(o))
		}
		m.durations.WithLabelValues(string(e))
		m.waits.WithLabelValues(string(e))
		m.throttled.WithLabelValues(string(e))
		m.malformed.WithLabelValues(string(e))
	}
	for code := range m.codes {
		m.tokenFailures.WithLabelValues(code)
	}
	return m
}

// tokenCodes are the codes with which a request for a token can fail.
func tokenCodes() []string {
	return []string{
		fault.CodeCredentialsInvalid, fault.CodeSecretIDPasted, fault.CodeSecretExpired, fault.CodeDirectoryNotFound,
		fault.CodeApplicationNotFound, fault.CodeApplicationDisabled, fault.CodeConsentMissing, fault.CodeAccessBlocked,
		fault.CodeServiceNotEnabled, fault.CodeUpstreamThrottled, fault.CodeUpstreamUnavailable, fault.CodeUpstreamTimeout,
		fault.CodeUpstreamUnexpected,
	}
}

// Call counts one exchange with Microsoft.
func (m *Metrics) Call(endpoint defender.Endpoint, outcome defender.Outcome, took time.Duration) {
	e := m.upstream.endpoints.of(string(endpoint))
	m.upstream.calls.WithLabelValues(e, m.upstream.outcomes.of(string(outcome))).Inc()
	m.upstream.durations.WithLabelValues(e).Observe(took.Seconds())
}

// Throttled counts a wait and the time it took.
func (m *Metrics) Throttled(endpoint defender.Endpoint, waited time.Duration) {
	if waited > 0 {
		e := m.upstream.endpoints.of(string(endpoint))
		m.upstream.waits.WithLabelValues(e).Inc()
		m.upstream.throttled.WithLabelValues(e).Add(waited.Seconds())
	}
}

// BreakerOpened counts a directory that is left alone, or left alone for longer.
func (m *Metrics) BreakerOpened() { m.upstream.breakers.Inc() }

// TokenFailure counts a failed token request.
func (m *Metrics) TokenFailure(code string) {
	m.upstream.tokenFailures.WithLabelValues(m.upstream.codes.of(code)).Inc()
}

// Malformed counts records that could not be read.
func (m *Metrics) Malformed(endpoint defender.Endpoint, records int) {
	if records > 0 {
		m.upstream.malformed.WithLabelValues(m.upstream.endpoints.of(string(endpoint))).Add(float64(records))
	}
}
