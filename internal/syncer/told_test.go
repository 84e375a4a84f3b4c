package syncer_test

import (
	"net/http"
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
)

// TestAnIntegrationTellsWhatItsRunOrCheckTold has Defender refuse tokens that Entra issues: the code is that of a refused
// secret, and the usual words of it would send somebody to make a new one in vain.
func TestAnIntegrationTellsWhatItsRunOrCheckTold(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	usual := fault.NoticeOf(fault.New(fault.CodeCredentialsInvalid, ""))
	h.fault(defendersim.Fault{Route: "machines", Status: http.StatusUnauthorized})
	run := h.again(i, syncer.Incremental)
	mustEnd(t, run, syncer.Failed, fault.CodeCredentialsInvalid)
	told := h.integration(i).StateNotice
	if run.Report.Error.SameAs(usual) || !told.SameAs(*run.Report.Error) || told.Detail != run.Report.Error.Detail {
		t.Errorf("the integration tells\n%+v, its run\n%+v", told, *run.Report.Error)
	}

	version := h.integration(i).Version
	check := func(what string, want fault.Notice) {
		t.Helper()
		_, err := h.links.Validate(t.Context(), h.tenant, i.PublicID)
		must(t, err)
		if got := h.integration(i); got.State != connector.StateActionRequired || !got.StateNotice.SameAs(want) {
			t.Errorf("%s: %s, %+v, want %+v", what, got.State, got.StateNotice, want)
		}
	}
	check("checked again", told)
	if got := h.integration(i).Version; got != version {
		t.Errorf("what was known was found again, and moved the version from %d to %d", version, got)
	}

	h.sim.ClearFaults()
	h.rotateAtMicrosoft(renewed) // the same code for another reason
	_, err := h.links.Validate(t.Context(), h.tenant, i.PublicID)
	must(t, err)
	if got := h.integration(i); got.StateReason != fault.CodeCredentialsInvalid || got.StateNotice.SameAs(told) || got.StateNotice.Cause == "" {
		t.Errorf("another cause: %+v", got.StateNotice)
	}
	h.rotateAtMicrosoft(secret)
	_, err = h.links.Validate(t.Context(), h.tenant, i.PublicID)
	must(t, err)
	if got := h.integration(i); got.State != connector.StateActive || got.StateNotice != (fault.Notice{}) {
		t.Errorf("mended: %s, %+v", got.State, got.StateNotice)
	}
}

// TestAStagedCredentialTellsWhatItMet is the same of one that waits.
func TestAStagedCredentialTellsWhatItMet(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	w := everyWay(t, h)[connector.MethodCertificate]
	_, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: w.creds})
	must(t, err)
	_, err = h.links.Validate(t.Context(), h.tenant, i.PublicID)
	must(t, err)
	usual := fault.NoticeOf(fault.New(fault.CodeCredentialsInvalid, ""))
	if met := h.integration(i).Staged.Problem; met.Code != fault.CodeCredentialsInvalid || met.Detail == "" || met.SameAs(usual) {
		t.Errorf("a certificate that the directory does not know met %+v", met)
	}
}

// TestATroubleStoredBeforeItsWordsWereKept tells the usual ones.
func TestATroubleStoredBeforeItsWordsWereKept(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	h.sql(`update integration set state = 'action_required', state_reason = 'license_missing', state_notice = null`)
	if told := h.integration(i).StateNotice; !told.SameAs(fault.NoticeOf(fault.New(fault.CodeLicenceMissing, ""))) {
		t.Errorf("%+v", told)
	}
}
