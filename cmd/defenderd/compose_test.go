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
		User        string
		Build       struct{ Args map[string]string }
		Command     []string
		Environment map[string]string
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

// TestComposedImportsGoOnAfterAKill wants the pages of an import on a volume, of which a new one belongs to the service's user.
func TestComposedImportsGoOnAfterAKill(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	service := c.Services["defenderd"]
	dir := service.Environment["DEFENDERD_SPOOL_DIR"]
	if dir == "" || service.Environment["DEFENDERD_DATABASE_URL"] == "" {
		t.Fatalf("defenderd's settings: %v", service.Environment)
	}
	if !slices.ContainsFunc(service.Volumes, func(v string) bool {
		source, target, _ := strings.Cut(v, ":")
		_, named := c.Volumes[source]
		return named && target == dir
	}) {
		t.Errorf("%s is on none of the named volumes: %v", dir, service.Volumes)
	}
	if owned := "COPY --from=build --chown=${OWNER}:${OWNER} /out/spool " + dir + "\n"; !strings.Contains(string(dockerfile), owned) {
		t.Errorf("the image has no directory %s of its user's", dir)
	}
	for name, s := range c.Services { // all build the same image
		if s.Image == "defenderd" && (s.User == "" || s.Build.Args["OWNER"] != s.User) {
			t.Errorf("%s runs as %q, and the image belongs to %q", name, s.User, s.Build.Args["OWNER"])
		}
	}
}
