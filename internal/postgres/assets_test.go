package postgres_test

import (
	"cmp"
	"context"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// assetNumber names an asset by its place in the seed.
func assetNumber(a inventory.Asset) string { return strconv.FormatInt(a.ID, 10) }

func TestAssetsAreReadWhole(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	joined := true
	want := inventory.Asset{
		ID: 1, PublicID: assetID(f.mine, 1), IntegrationID: 1, IntegrationPublic: integrationID(f.mine, 1),
		SourceID: "source-1", Hostname: "web_01.corp", HostnameRaw: "WEB_01.Corp", NameKind: inventory.FQDN,
		PreviousHostnames: []string{"web00.corp"}, PrimaryIP: netip.MustParseAddr("10.0.0.1"),
		Addresses: []inventory.Address{
			{IP: netip.MustParseAddr("10.0.0.1"), MAC: "aa:bb:cc:dd:ee:ff", Scope: "private", InterfaceType: "ethernet", Up: true},
			{IP: netip.MustParseAddr("2001:db9::1"), Scope: "public", InterfaceType: "wireless"},
		},
		EgressIP: netip.MustParseAddr("198.51.100.7"),
		OS:       inventory.OS{Platform: "Windows10", Family: "windows", Version: "22H2", Build: 19045, Architecture: "64-bit", Processor: "x64"},
		Health:   "Active", Onboarding: "Onboarded", RiskScore: "High", ExposureLevel: "Low", DeviceValue: "Normal",
		GroupID: 7, GroupName: "Blue", Tags: []string{"prod", "web"}, AADDeviceID: "aad", AADJoined: &joined,
		AgentVersion: "1.2", ManagedBy: "Intune", ManagedByStatus: "Success", PotentialDup: true,
		Cloud:    &inventory.Cloud{Provider: "azure", ResourceID: "/r", Account: "sub", VMID: "vm"},
		Warnings: []string{"platform_unrecognised"}, FirstSeen: time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC), LastSeen: day(7),
		State: inventory.AssetActive, Import: inventory.Imported, Counts: inventory.SeverityCounts{Critical: 1, High: 1},
		CreatedAt: day(1), UpdatedAt: day(8),
	}
	got, err := f.store.Asset(context.Background(), f.mine, assetID(f.mine, 1))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Asset: %v\n got %+v\nwant %+v", err, got, want)
	}
	listed, _, err := f.store.ListAssets(context.Background(), f.mine, inventory.AssetFilter{Hostnames: []string{"web_01.corp"}}, everything)
	if err != nil || len(listed) != 1 || !reflect.DeepEqual(listed[0], want) {
		t.Errorf("ListAssets: %v\n got %+v\nwant %+v", err, listed, want)
	}
	bare, err := f.store.Asset(context.Background(), f.mine, assetID(f.mine, 3))
	if err != nil || bare.Cloud != nil || bare.EgressIP.IsValid() || bare.AADJoined != nil || !bare.LastSeen.IsZero() || len(bare.Addresses) != 0 {
		t.Errorf("an asset with nothing optional: %v, %+v", err, bare)
	}
}

func TestUnknownAssetIsNotFound(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	for _, id := range []uuid.UUID{assetID(f.mine, 99), assetID(f.other, 1), {}} {
		if _, err := f.store.Asset(context.Background(), f.mine, id); !fault.Is(err, fault.CodeNotFound) {
			t.Errorf("asset %s: %v, want not_found", id, err)
		}
	}
}

func TestAssetFilters(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	type filter = inventory.AssetFilter
	addr := netip.MustParseAddr
	cases := map[string]struct {
		filter inventory.AssetFilter
		want   []string
	}{
		"everything":               {filter{}, []string{"1", "2", "3", "4", "5", "6"}},
		"one integration":          {filter{Integrations: []uuid.UUID{integrationID(f.mine, 2)}}, []string{"3", "4"}},
		"foreign integration":      {filter{Integrations: []uuid.UUID{integrationID(f.other, 2)}}, nil},
		"either integration":       {filter{Integrations: []uuid.UUID{integrationID(f.mine, 1), integrationID(f.mine, 2)}}, []string{"1", "2", "3", "4", "5", "6"}},
		"host name without case":   {filter{Hostnames: []string{"DB.corp", "zed.corp"}}, []string{"3", "4", "6"}},
		"host name is no pattern":  {filter{Hostnames: []string{"web%"}}, nil},
		"primary address":          {filter{IPs: []netip.Addr{addr("10.0.0.3")}}, []string{"3", "4"}},
		"further address":          {filter{IPs: []netip.Addr{addr("2001:0db9::0001")}}, []string{"1"}},
		"mapped address":           {filter{IPs: []netip.Addr{addr("::ffff:10.0.0.2"), addr("fd00::5")}}, []string{"2", "5"}},
		"egress is not an address": {filter{IPs: []netip.Addr{addr("198.51.100.7")}}, nil},
		"no address":               {filter{IPs: []netip.Addr{{}}}, nil},
		"families":                 {filter{OSFamilies: []string{"macos", "linux"}}, []string{"2", "3", "5"}},
		"states":                   {filter{States: []inventory.AssetState{inventory.AssetStale, inventory.AssetRemoved}}, []string{"3", "6"}},
		"one of the tags":          {filter{Tags: []string{"web", "100%"}}, []string{"1", "3"}},
		"tag without case":         {filter{Tags: []string{"WEB"}}, []string{"1"}},
		"device group":             {filter{DeviceGroups: []string{"Blue"}}, []string{"1", "2"}},
		"device group, no case":    {filter{DeviceGroups: []string{"bLUE", "rED"}}, []string{"1", "2", "3"}},
		"seen since, inclusive":    {filter{LastSeenFrom: day(7)}, []string{"1", "2", "6"}},
		"seen within":              {filter{LastSeenFrom: day(7), LastSeenBefore: day(8)}, []string{"1", "2"}},
		"seen since, later":        {filter{LastSeenFrom: day(7).Add(time.Microsecond)}, []string{"6"}},
		"seen before":              {filter{LastSeenBefore: day(7)}, []string{"5"}}, // of 3 and 4 nobody knows
		"critical":                 {filter{Severities: []inventory.Severity{inventory.SeverityCritical}}, []string{"1"}},
		"high or unknown":          {filter{Severities: []inventory.Severity{inventory.SeverityHigh, inventory.SeverityUnknown}}, []string{"1", "2", "4"}},
		"medium or low":            {filter{Severities: []inventory.Severity{inventory.SeverityMedium, inventory.SeverityLow}}, []string{"3"}},
		"no such severity":         {filter{Severities: []inventory.Severity{9}}, nil},
		"affected":                 {filter{VulnID: 3}, []string{"1", "2"}},
		"no longer affected":       {filter{VulnID: 2}, nil},
		"affects another tenant":   {filter{VulnID: 6}, nil},
		"combined":                 {filter{OSFamilies: []string{"linux"}, Tags: []string{"prod"}, VulnID: 3}, []string{"2"}},
		"text beyond storing":      {filter{Text: "web\x00"}, nil},
		"zero byte in a value":     {filter{Hostnames: []string{"web\x00", "zed.corp"}, Tags: nil}, []string{"6"}},
		"only unstorable values":   {filter{Tags: []string{"\x00", "\xff"}}, nil},
		"hostile values":           {filter{Tags: []string{`%_\'`, `{"a`, `}`}, DeviceGroups: []string{`%_\'`}}, nil},
	}
	for name, c := range cases {
		got := walk(t, everything, func(p inventory.PageRequest) ([]inventory.Asset, inventory.Position, error) {
			return f.store.ListAssets(context.Background(), f.mine, c.filter, p)
		})
		numbers := namesOf(got, assetNumber)
		slices.Sort(numbers)
		if !slices.Equal(numbers, c.want) {
			t.Errorf("%s: %v, want %v", name, numbers, c.want)
		}
	}
}

func TestAssetsSortedAndPaged(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	checkSorts(t, inventory.AssetSorts, 6, assetNumber,
		map[string]func(a, b inventory.Asset) int{
			"hostname":     func(a, b inventory.Asset) int { return cmp.Compare(a.Hostname, b.Hostname) },
			"last_seen_at": func(a, b inventory.Asset) int { return a.LastSeen.Compare(b.LastSeen) },
			"created_at":   func(a, b inventory.Asset) int { return a.CreatedAt.Compare(b.CreatedAt) },
		},
		func(p inventory.PageRequest) ([]inventory.Asset, inventory.Position, error) {
			return f.store.ListAssets(context.Background(), f.mine, inventory.AssetFilter{}, p)
		})
	usual, _, err := f.store.ListAssets(context.Background(), f.mine, inventory.AssetFilter{}, everything)
	if got, want := namesOf(usual, assetNumber), []string{"3", "4", "5", "1", "2", "6"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("usual order %v (%v), want %v by host name", got, err, want)
	}
}
