package defendersim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// TestEveryRefusalCanBeProduced sets an application to each number in turn.
func TestEveryRefusalCanBeProduced(t *testing.T) {
	h := start(t, nil)
	app := goodApp()
	passing := []int{90033, 90006, 90024, 90012, 50033, 90090}
	policies := []int{53003, 530032, 530035, 50131}
	for _, code := range defendersim.RefusalCodes() {
		app.RefuseWith = code
		if err := h.SetApp(dirID, app); err != nil {
			t.Fatal(err)
		}
		a := h.form(tokenPath)
		m := a.json(t)
		text, _ := m["error_description"].(string)
		codes, _ := m["error_codes"].([]any)
		if a.status < 400 || m["error"] == "" || len(codes) != 1 || codes[0] != float64(code) || !strings.HasPrefix(text, fmt.Sprintf("AADSTS%d: ", code)) {
			t.Errorf("%d: %d %s", code, a.status, a.body)
		}
		if strings.ContainsAny(text, "{}") || strings.Contains(text, secret) {
			t.Errorf("%d: %s", code, text)
		}
		if (a.status >= 500) != slices.Contains(passing, code) || (m["suberror"] == "message_only") != slices.Contains(policies, code) {
			t.Errorf("%d: status %d, suberror %v", code, a.status, m["suberror"])
		}
	}
	app.RefuseWith = 0
	if err := h.SetApp(dirID, app); err != nil || h.form(tokenPath).status != 200 {
		t.Errorf("still refused: %v", err)
	}
	for _, code := range []int{1, -7000215, 200} {
		app.RefuseWith = code
		if err := h.SetApp(dirID, app); err == nil {
			t.Errorf("%d is accepted", code)
		}
	}
}

// TestRefusalsOfTheTable names the numbers that must be among them, so that none is lost.
func TestRefusalsOfTheTable(t *testing.T) {
	t.Parallel()
	for _, code := range []int{7000215, 7000222, 7000216, 7000218, 700016, 70001, 700011, 7000229, 90002, 900023, 900021, 50059, 50194, 9001023, 90019,
		7000112, 53003, 530032, 530035, 50131, 500011, 50001, 500014, 650052, 650056, 650057, 65001, 90094, 1002012, 70011, 700022, 900144, 90014,
		9002313, 900561, 700025, 500021, 500022, 500212, 500213, 50196, 90055, 90033, 90006, 90024, 90012, 50033, 90090, 90038, 900382, 900432,
		700027, 700024, 50027, 700023, 700211, 700212, 700213} {
		if !slices.Contains(defendersim.RefusalCodes(), code) {
			t.Errorf("%d is missing", code)
		}
	}
}

func TestTenantsThatAreNone(t *testing.T) {
	h := start(t, nil)
	at := func(tenant string) float64 {
		codes, _ := h.form("/" + tenant + "/oauth2/v2.0/token").json(t)["error_codes"].([]any)
		if len(codes) != 1 {
			t.Fatalf("codes %v", codes)
		}
		return codes[0].(float64)
	}
	for tenant, code := range map[string]float64{"common": 50059, "organizations": 50059, "consumers": 9001023, "00000000-0000-0000-0000-000000000000": 900021} {
		if got := at(tenant); got != code {
			t.Errorf("%s: %v, want %v", tenant, got, code)
		}
	}
	app := goodApp()
	app.SingleTenant = true
	if err := h.SetApp(dirID, app); err != nil {
		t.Fatal(err)
	}
	if got := at("common"); got != 50194 {
		t.Errorf("an application of one directory at common: %v", got)
	}
}
