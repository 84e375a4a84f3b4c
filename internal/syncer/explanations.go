package syncer

import (
	"slices"

	"pgp.internal/defender/internal/fault"
)

// Codes of explanations that are no faults.
const (
	ExplainNotYetRun    = "not_yet_run"
	ExplainInProgress   = "in_progress"
	ExplainAssetsOff    = "import_assets_off"
	ExplainFindingsOff  = "import_vulnerabilities_off"
	ExplainNoMachines   = "no_machines"
	ExplainAllFiltered  = "all_machines_filtered"
	ExplainNoRows       = "no_vulnerability_rows"
	ExplainRowsFiltered = "all_rows_filtered"
	ExplainNothingNew   = "nothing_new"
	ExplainRestarted    = "restarted"
	ExplainMissing      = "machines_missing"
)

// Explanation is what a code of [Explain] that is no fault always means. It is published beside the faults.
type Explanation struct {
	Code   string
	Title  string
	Detail string // the usual one; a run may know more
	Remedy string
	Acts   fault.Actor
}

// Explanations lists them in the order in which they are told.
func Explanations() []Explanation { return slices.Clone(explanations) }

// LookupExplanation finds one by its code.
func LookupExplanation(code string) (Explanation, bool) {
	i := slices.IndexFunc(explanations, func(e Explanation) bool { return e.Code == code })
	if i < 0 {
		return Explanation{}, false
	}
	return explanations[i], true
}

// explained tells one, with what is known of it this time. It panics on an unknown code, as [fault.New] does.
func explained(code, detail string) Notice {
	e, ok := LookupExplanation(code)
	if !ok {
		panic("syncer: explanation not in the list: " + code)
	}
	if detail == "" {
		detail = e.Detail
	}
	return Notice{Code: e.Code, Title: e.Title, Detail: detail, Remedy: e.Remedy, Acts: e.Acts}
}

var explanations = []Explanation{
	{ExplainNotYetRun, "The run has not started yet", "It waits for a free worker.", "Look again in a moment.", fault.Nobody},
	{ExplainInProgress, "The run is still going on", "Figures grow until it ends.", "Look again when it has finished.", fault.Nobody},
	{ExplainAssetsOff, "Import Internal Assets is off", "Machines are kept only as carriers of findings.", "Turn on Import Internal Assets to import all of them.", fault.Caller},
	{ExplainFindingsOff, "Import Vulnerabilities is off", "No findings are imported.", "Turn on Import Vulnerabilities to import them.", fault.Caller},
	{ExplainMissing, "Some machines were not reported this time", "Known machines were missing from the list. They are kept until a list misses them that is read six hours or more after the first one that did.", "Nothing to do: scheduled runs remove them, or find them again.", fault.Nobody},
	{ExplainNoMachines, "The directory holds no machines", "Microsoft Defender reported no device at all.", "Onboard devices in the Microsoft Defender portal, and check that the Tenant ID belongs to the directory that holds them.", fault.CustomerAdmin},
	{ExplainAllFiltered, "No machine passed the rules", "Defender reported machines and all were skipped.", "Look at the samples of each reason. Mobile and IoT devices are never imported; age, device groups, tags and name rules are settings.", fault.Caller},
	{ExplainNoRows, "Defender reported no vulnerabilities", "The vulnerability report of the directory is empty.", "A newly onboarded device needs up to a day to be assessed; vulnerability management needs Plan 2 or the add-on.", fault.CustomerAdmin},
	{ExplainRowsFiltered, "No vulnerability passed the rules", "Defender reported rows and all were skipped.", "Begin with the biggest reason. Where it is asset_not_imported, look at the rules for machines; else only network-accessible vulnerabilities count, and minimum severity, attack vectors and unknown vectors are settings.", fault.Caller},
	{ExplainNothingNew, "Nothing has changed", "Everything that was to be read was, and nothing that is stored had to be changed.", "Nothing to do.", fault.Nobody},
	{ExplainRestarted, "The run was interrupted and started again", "Its counts are those of the last attempt: what an earlier one had stored already counts as unchanged.", "Nothing to do.", fault.Nobody},
}
