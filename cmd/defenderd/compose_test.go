package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/oasdiff/yaml"
	"github.com/urfave/cli/v3"
)

// composed is docker-compose.yml as far as its parts refer to one another and to this program.
type composed struct {
	Services map[string]struct {
		Image       string
		Command     []string
		Secrets     []string
		Volumes     []string
		Healthcheck struct{ Disable bool }
		DependsOn   map[string]struct{ Condition string } `json:"depends_on"`
	}
	Secrets, Volumes map[string]any
}

func readCompose(t *testing.T) (c composed) {
	t.Helper()
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	c = decode[composed](t, string(asJSON))
	if len(c.Services) < 6 {
		t.Fatalf("only %d services were read", len(c.Services))
	}
	return c
}

func TestComposeFileHoldsTogether(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	for name, s := range c.Services {
		for other, d := range s.DependsOn {
			on, ok := c.Services[other]
			if !ok || d.Condition == "service_healthy" && on.Healthcheck.Disable {
				t.Errorf("%s waits for %s, which is not there or never healthy", name, other)
			}
		}
		for _, secret := range s.Secrets {
			if _, ok := c.Secrets[secret]; !ok {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if _, ok := c.Volumes[source]; !ok && !strings.HasPrefix(source, "./") {
				t.Errorf("%s: there is no volume %s", name, source)
			}
		}
	}
}

// TestComposeCommandsAreOurs reads the command lines as the program would.
func TestComposeCommandsAreOurs(t *testing.T) {
	t.Parallel()
	for name, s := range readCompose(t).Services {
		if s.Image != "defenderd" {
			continue
		}
		at := (&program{}).root()
		for i, word := range s.Command {
			if flag, ok := strings.CutPrefix(word, "--"); ok {
				if !slices.ContainsFunc(at.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), flag) }) {
					t.Errorf("%s: %q has no flag --%s", name, at.Name, flag)
				}
			} else if i == 0 || !strings.HasPrefix(s.Command[i-1], "--") {
				if at = at.Command(word); at == nil {
					t.Fatalf("%s: there is no command %q", name, s.Command)
				}
			}
		}
	}
}
