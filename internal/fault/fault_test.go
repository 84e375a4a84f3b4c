package fault

import (
	"errors"
	"fmt"
	"testing"
)

func TestEveryDefinitionIsWholeAndUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Definitions() {
		if d.Code == "" || d.Title == "" || d.Cause == "" || d.Remedy == "" || d.Actor == "" {
			t.Errorf("definition %q is incomplete: %+v", d.Code, d)
		}
		if seen[d.Code] {
			t.Errorf("code %q is defined twice", d.Code)
		}
		seen[d.Code] = true
	}
}

func TestAsKeepsForeignErrorsHidden(t *testing.T) {
	secret := errors.New("pq: password is hunter2")
	e := As(fmt.Errorf("query: %w", secret))
	if e.Code != CodeInternal || e.Detail != "" {
		t.Fatalf("a foreign error must become a bare internal fault, got %+v", e)
	}
	if !errors.Is(e, secret) {
		t.Fatal("the hidden reason must stay reachable for logs")
	}
}

func TestThisTimesTextsWinOverTheDefinition(t *testing.T) {
	e := New(CodePermissionMissing, "Vulnerability.Read.All is not granted")
	if e.RemedyText() != e.Definition().Remedy {
		t.Fatal("without an own remedy the definition's is told")
	}
	if e.Actor() != CustomerAdmin {
		t.Fatalf("%q has to act, not the definition's actor", e.Actor())
	}
	e.Acts = Operator
	if e.Actor() != Operator {
		t.Fatal("an own actor must win")
	}
	e.Remedy = "Grant Vulnerability.Read.All"
	if e.RemedyText() != "Grant Vulnerability.Read.All" {
		t.Fatal("an own remedy must win")
	}
}
