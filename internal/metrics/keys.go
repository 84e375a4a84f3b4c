package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pgp.internal/defender/internal/kms"
)

type keyMetrics struct {
	operations, outcomes words

	calls     *prometheus.CounterVec
	durations *prometheus.HistogramVec
}

func newKeyMetrics(f factory) keyMetrics {
	operations := []kms.Operation{kms.OperationWrap, kms.OperationUnwrap}
	outcomes := []kms.Outcome{kms.OutcomeOK, kms.OutcomeFailed, kms.OutcomeUnreadable}
	m := keyMetrics{
		operations: wordsOf(operations...), outcomes: wordsOf(outcomes...),
		calls: f.counterVec("key_service_calls_total", "Calls to the key service by operation and outcome; failed ones did not reach it or were not permitted.", "operation", "outcome"),
		durations: f.histogramVec("key_service_call_duration_seconds", "Duration of calls to the key service, their retries included.",
			[]float64{0.02, 0.1, 0.5, 2, 10}, "operation"),
	}
	for _, operation := range operations {
		for _, outcome := range outcomes {
			m.calls.WithLabelValues(string(operation), string(outcome))
		}
		m.durations.WithLabelValues(string(operation))
	}
	return m
}

// KeyServiceCall counts one call to the key service.
func (m *Metrics) KeyServiceCall(operation kms.Operation, outcome kms.Outcome, took time.Duration) {
	o := m.keys.operations.of(string(operation))
	m.keys.calls.WithLabelValues(o, m.keys.outcomes.of(string(outcome))).Inc()
	m.keys.durations.WithLabelValues(o).Observe(took.Seconds())
}
