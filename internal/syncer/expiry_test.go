package syncer_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
)

const aDay = 24 * time.Hour

// told makes a look at the credentials and gives the thresholds of the lines it wrote.
func (h *house) told() (thresholds []int) {
	h.t.Helper()
	var lines bytes.Buffer
	w := syncer.NewCredentialWatch(h.store, h.links, slog.New(slog.NewJSONHandler(&lines, nil)), h.clock)
	if err := w.Look(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	for d := json.NewDecoder(&lines); d.More(); {
		var line struct {
			Within *int `json:"within_days"`
		}
		if err := d.Decode(&line); err != nil {
			h.t.Fatal(err)
		}
		if line.Within != nil {
			thresholds = append(thresholds, *line.Within)
		}
	}
	return thresholds
}

func (h *house) mustTell(when string, want ...int) {
	h.t.Helper()
	got := h.told()
	if len(got) != len(want) || len(want) > 0 && got[0] != want[0] {
		h.t.Errorf("%s: told %v, want %v", when, got, want)
	}
}

func TestEachThresholdOfAnExpiryIsToldOnce(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 1)
	i := h.connect(h.tenant, nil)
	began := h.now
	h.mustTell("unknown expiry")
	h.expires(i, began.Add(40*aDay))
	h.mustTell("40 days before")
	for _, c := range []struct {
		left time.Duration
		want []int
	}{{30*aDay + time.Minute, nil}, {30 * aDay, []int{30}}, {20 * aDay, nil}, {13 * aDay, []int{14}}, {6 * aDay, []int{7}}, {time.Hour, []int{1}}, {-time.Hour, []int{0}}, {-aDay, nil}} {
		h.now = began.Add(40*aDay - c.left)
		h.mustTell(c.left.String(), c.want...)
		h.mustTell("again at " + c.left.String())
	}
	h.expires(i, h.now.Add(3*aDay)) // another secret, which nobody was warned of
	h.mustTell("of the next secret", 7)
}

// TestAStagedSecretIsToldOfOnceItHasTakenOver: one that works takes over within a day, and its expiry is told then; of one that waits
// it is told why it does.
func TestAStagedSecretIsToldOfOnceItHasTakenOver(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 1)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.expires(i, h.now.Add(6*aDay))
	h.mustTell("of the present one", 7)
	must(t, second(h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{
		Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}, SecretExpiresAt: h.now.Add(25 * aDay),
	})))
	h.now = h.now.Add(25 * time.Hour)
	h.mustTell("while it waits")
	if staged := h.integration(i).Staged; staged.Problem.Code != fault.CodeCredentialsInvalid {
		t.Errorf("it waits: %+v", staged)
	}
	h.takes(func(a *defendersim.App) { a.Secret = renewed })
	h.now = h.now.Add(27 * time.Hour)
	h.mustTell("when it takes over")
	h.mustTell("of the one that has taken over", 30)
}

func (h *house) expires(i connector.Integration, at time.Time) {
	h.t.Helper()
	_, err := h.store.UpdateIntegration(h.t.Context(), i.Tenant, i.PublicID, 0, func(i *connector.Integration) error { i.SecretExpiresAt = at; return nil })
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestOneOfSeveralProcessesTellsAnExpiry(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 1)
	h.expires(h.connect(h.tenant, nil), h.now.Add(aDay))
	passed := make(chan int, 6)
	for range cap(passed) {
		go func() {
			list, err := h.store.PassExpiries(t.Context(), h.now)
			if err != nil {
				t.Error(err)
			}
			passed <- len(list)
		}()
	}
	sum := 0
	for range cap(passed) {
		sum += <-passed
	}
	if sum != 1 {
		t.Errorf("told %d times", sum)
	}
}

func TestARunWarnsOfASecretThatExpires(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.expires(i, h.now.Add(5*aDay-time.Hour))
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	w := run.Report.Warnings
	if len(w) != 1 || w[0].Code != fault.CodeSecretExpiring || w[0].Remedy == "" || !run.Report.NoChanges {
		t.Errorf("warnings %+v, no changes %v", w, run.Report.NoChanges)
	}
	if got, due := ptr(h.integration(i)).ExpiryWarning(h.now); !due || got.DaysLeft != 5 {
		t.Errorf("%+v", got)
	}
}

// TestMicrosoftTellsThatASecretHasExpired learns it from a run or a validation, and that it works after all from either. What the
// customer said of it stays.
func TestMicrosoftTellsThatASecretHasExpired(t *testing.T) {
	t.Parallel()
	try := map[string]func(*house, connector.Integration){
		"run": func(h *house, i connector.Integration) { h.again(i, syncer.Incremental) },
		"validation": func(h *house, i connector.Integration) {
			must(h.t, second(h.links.Validate(h.t.Context(), h.tenant, i.PublicID)))
		},
	}
	for learnt, learn := range try {
		for healed, heal := range try {
			t.Run(learnt+" and "+healed, func(t *testing.T) {
				t.Parallel()
				h := newPlainHouse(t, 2, 1)
				i := h.connect(h.tenant, nil)
				mustSucceed(t, h.work())
				said := h.now.Add(5 * aDay).UTC().Truncate(time.Second)
				h.expires(i, said)
				h.mustTell("of what was said", 7)
				h.expire(true)
				learn(h, i)
				h.mustHaveExpired(i, said)
				first := h.integration(i).SecretExpiredAt
				learn(h, i)
				if again := h.integration(i).SecretExpiredAt; !again.Equal(first) {
					t.Errorf("first met at %v, then at %v", first, again)
				}
				h.now = h.now.Add(time.Minute) // past the database's clock
				h.mustTell("that it has expired", 0)
				h.expire(false)
				heal(h, i)
				now := h.integration(i)
				if w, due := now.ExpiryWarning(h.now); !now.SecretExpiredAt.IsZero() || !now.SecretExpiresAt.Equal(said) || !due || w.Fault.Code != fault.CodeSecretExpiring || !w.ExpiresAt.Equal(said) {
					t.Errorf("healed: %v, said %v, %+v", now.SecretExpiredAt, now.SecretExpiresAt, w)
				}
				h.mustTell("of what was said, anew", 7)
			})
		}
	}
}

// TestASignInWithoutItsPermissionsIsOne heals what was learnt though the link stays broken.
func TestASignInWithoutItsPermissionsIsOne(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 1)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.expire(true)
	h.mustMeet(i, "validate", fault.CodeSecretExpired)
	h.takes(roles(defendersim.RoleMachineRead))
	h.mustMeet(i, "validate", fault.CodePermissionMissing)
	if now := h.integration(i); !now.SecretExpiredAt.IsZero() {
		t.Errorf("signed in, and expired since %v", now.SecretExpiredAt)
	}
}

// expire makes Microsoft call the secret expired, or take it.
func (h *house) expire(it bool) {
	h.t.Helper()
	h.takes(func(a *defendersim.App) {
		if a.Secret = secret; it {
			a.SecretExpiresAt = time.Now().Add(-time.Hour)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func (h *house) mustHaveExpired(i connector.Integration, said time.Time) {
	h.t.Helper()
	now := h.integration(i)
	if w, due := now.ExpiryWarning(h.now.Add(time.Minute)); !due || w.Fault.Code != fault.CodeSecretExpired || w.DaysLeft != 0 || !now.SecretExpiresAt.Equal(said) {
		h.t.Errorf("learnt: expired at %v, said %v, %+v", now.SecretExpiredAt, now.SecretExpiresAt, w)
	}
}
