package httpapi_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender/defendersim"
)

type arrangement = func(t *testing.T, a *answers, directory string)

// refusing makes Entra ID refuse with an AADSTS number.
func refusing(number int) arrangement {
	return func(t *testing.T, a *answers, directory string) {
		t.Helper()
		own := a.app()
		own.RefuseWith = number
		must(t, a.sim.SetApp(directory, own))
	}
}

// granted lets the application have these permissions only.
func granted(roles ...string) arrangement {
	return func(t *testing.T, a *answers, directory string) {
		t.Helper()
		own := a.app()
		own.Roles = roles
		must(t, a.sim.SetApp(directory, own))
	}
}

func licensed(l defendersim.Licence) arrangement {
	return func(t *testing.T, a *answers, directory string) {
		t.Helper()
		must(t, a.sim.SetLicence(directory, l))
	}
}

// atToken spoils the answers to token requests.
func atToken(f defendersim.Fault) arrangement {
	f.Route = "token"
	return faulty(f)
}

// atAPI spoils every answer of the API.
func atAPI(f defendersim.Fault) arrangement {
	f.PathPrefix = "/api"
	return faulty(f)
}

// atVulnerabilities spoils the answers about vulnerabilities, those that runs read and the one that checks read.
func atVulnerabilities(f defendersim.Fault) arrangement {
	probe, report := f, f
	probe.PathPrefix, report.Route = "/api/vulnerabilities", "software_vulnerabilities"
	return faulty(probe, report)
}

func faulty(faults ...defendersim.Fault) arrangement {
	return func(t *testing.T, a *answers, directory string) {
		t.Helper()
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, f := range faults {
			f.Directory = directory
			id, err := a.sim.AddFault(f)
			must(t, err)
			a.faultIDs[directory] = append(a.faultIDs[directory], id)
		}
	}
}

// scripted answers in place of the simulator.
func scripted(s script) arrangement {
	return func(_ *testing.T, a *answers, directory string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.scripts[directory] = s
	}
}

// tokenText answers token requests with a text.
func tokenText(status int, contentType, text string) arrangement {
	return scripted(func(w http.ResponseWriter, _ *http.Request, token bool) bool {
		if token {
			writeText(w, status, contentType, text)
		}
		return token
	})
}

// apiText answers everything but token requests with a text.
func apiText(status int, contentType, text string) arrangement {
	return scripted(func(w http.ResponseWriter, _ *http.Request, token bool) bool {
		if !token {
			writeText(w, status, contentType, text)
		}
		return !token
	})
}

func writeText(w http.ResponseWriter, status int, contentType, text string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // who no longer listens needs no answer
}

// proxied sends the directory's connections elsewhere.
func proxied(to string) arrangement {
	return func(_ *testing.T, a *answers, directory string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.proxies[directory] = to
	}
}

// connectDirectory adds a directory of ordinary machines with two findings each, and connects it.
func (a *answers) connectDirectory(t *testing.T, machines int) (directory uuid.UUID, i *api.Integration) {
	t.Helper()
	directory = uuid.New()
	must(t, a.sim.AddDirectory(defendersim.DirectorySpec{
		ID: directory.String(), Machines: machines, FindingsPerMachine: new(2), EdgeCases: new(false), Apps: []defendersim.App{app()},
	}))
	asked := form(directory)
	asked.Credentials.ClientID, asked.Credentials.ClientSecret = simClient, simSecret
	i, err := a.client(t).ConnectIntegration(t.Context(), asked)
	must(t, err)
	return directory, i
}
