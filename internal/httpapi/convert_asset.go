package httpapi

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/inventory"
)

// internalOnly is the surface of everything. It is one list for all answers, which nobody changes.
var internalOnly = []api.Surface{api.SurfaceInternal}

func asset(a *inventory.Asset, now time.Time) api.Asset {
	return api.Asset{
		ID: assetID(a.PublicID), IntegrationID: integrationID(a.IntegrationPublic), SourceID: a.SourceID, Hostname: a.Hostname,
		HostnameRaw: a.HostnameRaw, NameKind: api.NameKind(a.NameKind), PreviousHostnames: listed(a.PreviousHostnames),
		PrimaryIP: addressText(a.PrimaryIP), Addresses: addresses(a), EgressIP: addressText(a.EgressIP), OS: operatingSystem(&a.OS),
		HealthStatus: orElse(snake(a.Health), "unknown"), OnboardingStatus: snake(a.Onboarding), FirstSeenAt: a.FirstSeen, LastSeenAt: a.LastSeen,
		State: api.AssetState(a.State), StateReason: a.StateReason, MergedInto: a.MergedInto, MissingSince: a.MissingSince, ImportState: api.AssetImportState(a.Import),
		RiskScore: snake(a.RiskScore), ExposureLevel: snake(a.ExposureLevel), DeviceValue: snake(a.DeviceValue),
		RBACGroupID: groupID(a.GroupID), RBACGroupName: a.GroupName, MachineTags: listed(a.Tags), AADDeviceID: guid(a.AADDeviceID),
		IsAADJoined: a.AADJoined, AgentVersion: a.AgentVersion, ManagedBy: snake(a.ManagedBy), ManagedByStatus: snake(a.ManagedByStatus),
		Cloud: cloud(a.Cloud), IsPotentialDuplication: a.PotentialDup, Surface: internalOnly,
		FindingCounts: severityCounts(a.Counts), PGP: pgpAsset(a, now), CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
}

func pgpAsset(a *inventory.Asset, now time.Time) api.PGPAsset {
	out := api.PGPAsset{
		Key: inventory.PGPAssetKey(a.Hostname, a.PrimaryIP), Status: api.PGPAssetStatus(inventory.PGPAssetStatus(a, now)),
		AttackSurface: internalOnly,
	}
	if !a.LastSeen.IsZero() {
		ttl := a.LastSeen.Add(inventory.PGPLife).Unix()
		out.TTL = &ttl
	}
	return out
}

// addresses lists the primary address first and keeps the order of the others.
func addresses(a *inventory.Asset) []api.Address {
	list := make([]api.Address, 0, len(a.Addresses))
	for _, primary := range []bool{true, false} {
		for i := range a.Addresses {
			if x := &a.Addresses[i]; (x.IP == a.PrimaryIP) == primary {
				list = append(list, api.Address{IP: addressText(x.IP), MAC: x.MAC, Scope: api.AddressScope(x.Scope), InterfaceType: x.InterfaceType, Up: &x.Up})
			}
		}
	}
	return list
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func operatingSystem(o *inventory.OS) api.OperatingSystem {
	out := api.OperatingSystem{
		Platform: o.Platform, Family: osFamily(o.Family), Version: o.Version, Arch: o.Architecture, Processor: o.Processor,
	}
	if o.Build != 0 {
		out.Build = &o.Build
	}
	return out
}

func osFamily(family string) api.OSFamily {
	for _, w := range osFamilies {
		if slices.Contains(w.value, family) {
			return api.OSFamily(w.text)
		}
	}
	return api.OSOther
}

func cloud(c *inventory.Cloud) *api.CloudInstance {
	if c == nil {
		return nil
	}
	return &api.CloudInstance{Provider: strings.ToLower(c.Provider), ResourceID: c.ResourceID, Account: c.Account}
}

func groupID(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// guid passes what is a GUID; Defender sends other texts here now and then.
func guid(text string) string {
	id, err := uuid.Parse(text)
	if err != nil {
		return ""
	}
	return id.String()
}

// snake writes a word of Microsoft's, such as ImpairedCommunication, in lower_snake case.
func snake(word string) string {
	var room [48]byte // the words are shorter; only what is made of them is kept
	out := room[:0]
	before := '_' // nothing stands between the first letter and what is before it
	for i, r := range word {
		if r == ' ' || r == '-' {
			out, before = append(out, '_'), r
			continue
		}
		if unicode.IsUpper(r) && before != '_' && before != ' ' {
			next, _ := utf8.DecodeRuneInString(word[i+utf8.RuneLen(r):])
			if unicode.IsLower(before) || unicode.IsLower(next) {
				out = append(out, '_')
			}
		}
		out, before = utf8.AppendRune(out, unicode.ToLower(r)), r
	}
	return string(out)
}
