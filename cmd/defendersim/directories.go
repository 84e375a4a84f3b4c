package main

import (
	"fmt"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// numbered changes the last group of a GUID, so that ids of one kind can be told apart at a glance.
func numbered(guid string, n int) string {
	if len(guid) < 4 {
		return guid // refused later, with the reason
	}
	return guid[:len(guid)-4] + fmt.Sprintf("f%03x", n)
}

// directories are the main one and two that show what a customer without licence or without devices sees.
func directories(o options, now time.Time) []defendersim.DirectorySpec {
	both := []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead}
	app := func(n int, change func(*defendersim.App)) defendersim.App {
		a := defendersim.App{ClientID: numbered(o.client, n), Secret: newSecret(), SecretID: defendersim.NewGUID(),
			SecretExpiresAt: now.AddDate(1, 0, 0), Roles: both}
		if n == 0 {
			a.ClientID, a.Secret = o.client, o.secret
		}
		if change != nil {
			change(&a)
		}
		return a
	}
	small := 10
	list := []defendersim.DirectorySpec{
		{ID: o.directory, Domain: "contoso.com", Machines: o.machines, FindingsPerMachine: &o.findings, Apps: []defendersim.App{
			app(0, nil),
			app(1, func(a *defendersim.App) { a.SecretExpiresAt = now.AddDate(0, 0, -1) }),
			app(2, func(a *defendersim.App) { a.Roles = nil }),
			app(3, func(a *defendersim.App) { a.Roles = both[:1] }),
			app(4, func(a *defendersim.App) { a.NoServicePrincipal = true }),
			app(5, func(a *defendersim.App) { a.Disabled = true }),
			app(6, func(a *defendersim.App) { a.ConditionalAccessBlocked = true }),
		}},
		{ID: numbered(o.directory, 1), Domain: "unlicensed.example.com", Machines: small, Licence: defendersim.LicenceMachinesOnly,
			Apps: []defendersim.App{app(0, nil)}},
		{ID: numbered(o.directory, 2), Domain: "empty.example.com", EdgeCases: new(bool), Apps: []defendersim.App{app(0, nil)}},
		{ID: numbered(o.directory, 3), Domain: "unprovisioned.example.com", EdgeCases: new(bool), NotProvisioned: true,
			Apps: []defendersim.App{app(0, nil)}},
	}
	for i := range list {
		list[i].Cloud = o.cloud
	}
	return list
}
