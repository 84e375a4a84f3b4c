package main

import (
	"fmt"
	"io"
	"strings"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
)

// advice is what the page says to a trouble before its codes.
var advice = map[fault.Trouble]string{
	fault.NoToken: "In the help article: \"Failed to get access token\". Microsoft Entra ID refused to sign the application in. Tenant ID, Client ID and secret are " +
		"copied from the app registration; `POST /v1/integrations/{id}/validate` tries them again at any time.",
	fault.Denied: "In the help article: \"Access denied\" and \"Insufficient privileges\". The sign-in works, and what follows is refused. The check `permissions`, and the " +
		"error of a run, show under `access` what is needed and what the token grants; a consent takes some minutes to reach new tokens.",
	fault.NothingImported: "In the help article: nothing was imported. `GET /v1/runs/{id}/diagnostics` names every reason of a run under `explanations`, the most important first: " +
		"the codes below, an import that is off, a directory without machines or vulnerabilities, or rules that left everything out, with examples.",
	fault.Failing: "In the help article: time-outs and API errors. The same page of a run shows calls, retries and the time spent waiting for Microsoft, per stage. " +
		"Passing faults need nobody: they are retried, first within the run, then by an early next run. The detail tells which request it was: by the client request id that this service gave it, and by the request, correlation or trace id that Microsoft gave it, where there is one. Microsoft's support asks for them.",
	fault.Misasked: "What the sender of a request has to change.",
}

// actors name who has to act, for people.
var actors = map[fault.Actor]string{
	fault.Caller: "whoever asked", fault.CustomerAdmin: "customer's administrator", fault.Operator: "PGP operator", fault.Nobody: "nobody: wait",
}

// writeProblems writes the catalogue of problems as the page for docs, ordered by the troubles of the help article.
func writeProblems(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Troubleshooting\n\n" +
		"Written by `defenderd help problems`; a test keeps it up to date.\n\n" +
		"Every failure has a stable `code`, whether it is met at Connect, at a re-check or in a run; `GET /problems/{code}` tells the same as this page. What is\n" +
		"*permanent* stays until somebody acts: the integration turns to `action_required`, and is tried at its next regular time, at most hourly, in case it was mended\n" +
		"unseen. Validating it, or rotating its secret, clears that at once. Everything else passes by itself: the integration turns to `degraded`, and an early next\n" +
		"run tries again, first after 5 minutes. `acts` says who has to act: a single occurrence may know better than the table.\n")
	for _, trouble := range fault.Troubles() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| Code | Title | Cause | What to do | Who acts | Permanent |\n|---|---|---|---|---|---|\n", trouble, advice[trouble])
		for _, d := range fault.Definitions() {
			if d.Trouble() == trouble {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", d.Code, d.Title, d.Cause, d.Remedy, actors[d.Actor], yesNo(d.Permanent))
			}
		}
		if trouble == fault.NothingImported {
			writeExplanations(&b)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeExplanations adds what a run explains without anything having failed.
func writeExplanations(b *strings.Builder) {
	b.WriteString("\nNo failures, but named under `explanations` as well:\n\n| Code | Title | Meaning | What to do | Who acts |\n|---|---|---|---|---|\n")
	for _, e := range syncer.Explanations() {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", e.Code, e.Title, e.Detail, e.Remedy, actors[e.Acts])
	}
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
