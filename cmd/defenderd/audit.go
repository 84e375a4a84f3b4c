package main

import (
	"os"
	"os/user"
	"strconv"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/seal"
)

// auditLabel is what the keys of the audit trail are derived for.
const auditLabel = "audit"

func auditKey(ring *seal.Ring) audit.Key {
	return audit.Key{ID: ring.IDs()[0], Secret: ring.Derive(auditLabel)}
}

// auditKeys are the keys of all events that were written while one of the ring's keys was the first.
func auditKeys(ring *seal.Ring) map[string]audit.Key {
	keys := map[string]audit.Key{}
	if ring == nil {
		return keys
	}
	secrets := ring.DeriveEach(auditLabel)
	for place, id := range ring.IDs() {
		keys[id] = audit.Key{ID: id, Place: place, Secret: secrets[id]}
	}
	return keys
}

// operatorActor answers for commands: the user of the operating system. In a container the user may have a number only.
func operatorActor() audit.Actor {
	a := audit.Actor{Kind: audit.CLI, ID: strconv.Itoa(os.Getuid())}
	if u, err := user.Current(); err == nil {
		a.Name = u.Username
	}
	if a.Name == "" {
		a.Name = "uid " + a.ID
	}
	return a
}

func (p *program) auditCommand() *cli.Command {
	return p.group(&cli.Command{
		Name: "audit", Usage: "read the audit trail, and prove that it is what was written",
		Description: "Every change, and who made it, is recorded in a chain of events per tenant, and one for the platform.",
	}, p.auditList(), p.auditVerify())
}
