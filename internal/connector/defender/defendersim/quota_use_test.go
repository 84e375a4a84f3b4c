package defendersim

import (
	"slices"
	"testing"
	"time"
)

func TestQuotaUseIsTheHighestOfAllWindows(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	s := &Simulator{quotas: newQuotas(func() time.Time { return at })}
	call := func(after time.Duration, times int) {
		at = at.Add(after)
		for range times {
			s.quotas.take("app", "directory", "software_vulnerabilities", false)
		}
	}
	call(0, 20)
	call(59*time.Second, 12) // the last two are refused
	call(time.Second, 5)     // the first 20 are a minute old
	call(2*time.Hour, 1)
	want := []QuotaUse{{App: "app", Directory: "directory", Route: "software_vulnerabilities", Minute: 30, Hour: 35, Refused: 2}}
	if got := s.QuotaUse(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := (&Simulator{}).QuotaUse(); got != nil {
		t.Errorf("without quotas: %+v", got)
	}
}
