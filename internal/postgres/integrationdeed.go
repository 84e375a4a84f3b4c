package postgres

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

func integrationDeed(action audit.Action, before, after *connector.Integration) deed {
	d := deed{action: action, resource: on(tenant.IntegrationPrefix, after.PublicID), changes: integrationChanges(before, after)}
	if action == audit.IntegrationUnreadable {
		d.outcome = audit.Failed
	}
	return d
}

// stateDeed is a state that a run found an integration to be in, and why, before and after.
func stateDeed(integration uuid.UUID, before, after linkState) deed {
	d := deed{action: audit.IntegrationStateChanged, resource: on(tenant.IntegrationPrefix, integration)}
	if after.Reason == fault.CodeSecretUnreadable {
		d.action, d.outcome = audit.IntegrationUnreadable, audit.Failed
	}
	d.changes = audit.Diff(audit.Diff(nil, "state", before.State, after.State), "state_reason", before.Reason, after.Reason)
	return d
}

// integrationAction tells from what a change did to an integration what it was.
func integrationAction(before, after *connector.Integration) audit.Action {
	staged, had := len(after.Staged.Box) > 0, len(before.Staged.Box) > 0
	switch {
	case !reflect.DeepEqual(before.SecretBox, after.SecretBox):
		if had && !staged && after.ClientID == before.Staged.ClientID && after.SecretHint == before.Staged.Hint && after.Method == before.Staged.Method {
			return audit.IntegrationStagedAdopted
		}
		return audit.IntegrationRotated
	case staged && !reflect.DeepEqual(before.Staged.Box, after.Staged.Box):
		return audit.IntegrationStaged
	case had && !staged:
		return audit.IntegrationStagedDropped
	case !before.Settings.Equal(after.Settings): // whatever they did to the state
		return audit.IntegrationUpdated
	case before.State == after.State && before.StateReason == after.StateReason && before.StateNotice.SameAs(after.StateNotice):
		return audit.IntegrationUpdated
	case after.State == connector.StatePaused:
		return audit.IntegrationPaused
	case before.State == connector.StatePaused:
		return audit.IntegrationResumed
	case after.StateReason == fault.CodeSecretUnreadable:
		return audit.IntegrationUnreadable
	}
	return audit.IntegrationStateChanged
}

// integrationChanges lists what the API shows of an integration and the change altered.
func integrationChanges(before, after *connector.Integration) (changes []audit.Change) {
	add := func(field string, b, a any) { changes = audit.Diff(changes, field, b, a) }
	add("name", before.Name, after.Name)
	add("type", before.Kind, after.Kind)
	add("directory_id", before.DirectoryID, after.DirectoryID)
	add("client_id", before.ClientID, after.ClientID)
	add("method", before.Method, after.Method)
	add("secret", before.SecretBox, after.SecretBox)
	add("secret_hint", before.SecretHint, after.SecretHint)
	add("secret_expires_at", before.SecretExpiresAt, after.SecretExpiresAt)
	add("secret_expired_at", before.SecretExpiredAt, after.SecretExpiredAt)
	add("staged_secret", before.Staged.Box, after.Staged.Box)
	add("staged_secret_hint", before.Staged.Hint, after.Staged.Hint)
	add("interval_hours", before.IntervalHours, after.IntervalHours)
	add("state", before.State, after.State)
	add("state_reason", before.StateReason, after.StateReason)
	if before.StateReason == after.StateReason { // else the reason says it
		add("state_cause", before.StateNotice.Cause, after.StateNotice.Cause)
	}
	return append(changes, settingsChanges(settingsDocument(before.Settings), settingsDocument(after.Settings))...)
}

// settingsChanges goes over every setting there is, under the name it is stored by.
func settingsChanges(before, after settingsDocument) (changes []audit.Change) {
	b, a := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range b.NumField() {
		name, _, _ := strings.Cut(b.Type().Field(i).Tag.Get("json"), ",")
		changes = audit.Diff(changes, "settings."+name, plainSetting(b.Field(i)), plainSetting(a.Field(i)))
	}
	return changes
}

// plainSetting writes a setting out; none of them is secret.
func plainSetting(v reflect.Value) string {
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(v.Interface())
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return strings.Join(parts, ", ")
}
