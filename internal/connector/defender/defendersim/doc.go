// Package defendersim simulates Microsoft Entra ID's token endpoint and the Microsoft Defender for Endpoint API for many
// directories, with faults on demand and a record of what a correct importer must end up with.
//
// It shares no types with any client: it is written from Microsoft's documentation and from observed responses, and is
// as strict as Microsoft. README.md lists the control interface and the known deviations.
package defendersim
