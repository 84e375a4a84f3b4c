package defender

import (
	"net/http"
	"slices"

	"pgp.internal/defender/internal/fault"
)

// apiRules are the answers of the Defender API: Microsoft's page "Common REST API error codes", and refusals seen on
// live directories where the page is silent. The last rule takes everything.
func apiRules() []rule {
	return []rule{
		// Passing.
		{status: 429, to: fault.CodeUpstreamThrottled, retry: true,
			detail: "Microsoft Defender is limiting the requests of application {client_id} in directory {directory_id}."},
		{status: 5, to: fault.CodeUpstreamUnavailable, retry: true, detail: "Microsoft Defender failed to deliver {api}."},
		{status: 408, to: fault.CodeUpstreamTimeout, retry: true, detail: "Microsoft Defender gave up waiting for the request for {api}."},
		{status: 3, to: fault.CodeUpstreamUnexpected,
			detail: "The API host answered with a redirect, which is never followed.",
			cause:  "Something other than Microsoft Defender answers at the configured API host.",
			remedy: "The operator checks the configured API host and the outbound proxy."},

		// The licence speaks through 401, and at times through 403.
		{when: refused, hints: []string{"no tvm license", "tvm licen"}, to: fault.CodeLicenceMissing,
			detail: "Directory {directory_id} has no licence for vulnerability management.",
			remedy: "Check for Defender for Endpoint Plan 2 or the Defender Vulnerability Management add-on, or turn off Import Vulnerabilities."},
		{when: refused, hints: []string{"inactive"}, to: fault.CodeLicenceMissing,
			detail: "Microsoft Defender for Endpoint is inactive in directory {directory_id}: its licence has lapsed or was never activated."},
		{when: refused, hints: []string{"not provisioned", "provisioned"}, to: fault.CodeLicenceMissing,
			detail: "Microsoft Defender for Endpoint is not provisioned in directory {directory_id}.",
			remedy: "Check the Defender for Endpoint subscription and open the Microsoft Defender portal once as an administrator to set the service up, then validate again."},
		{when: refused, hints: []string{"license", "licence"}, to: fault.CodeLicenceMissing,
			detail: "Directory {directory_id} has no active licence for {api}."},
		{status: 403, code: "DisabledFeature", to: fault.CodeServiceNotEnabled,
			detail: "The part of Microsoft Defender that delivers {api} is switched off in directory {directory_id}.",
			remedy: "Enable the feature in the Microsoft Defender portal, then validate again."},

		// Documented for operations that Defender forbids for a reason of its own, which only its text tells.
		{status: 403, code: "DisallowedOperation", to: fault.CodeAccessBlocked,
			detail: "Microsoft Defender does not allow application {client_id} the request for {api} in directory {directory_id}.",
			cause:  "A setting or restriction of Microsoft Defender in this directory forbids the operation.",
			remedy: "Look for a restriction of API access in the Microsoft Defender portal; if there is none, ask Microsoft's support with the request ids told here."},

		// Permissions. A token without any may meet 401 as well as 403.
		{when: and(refused, noRoles), to: fault.CodeConsentMissing,
			detail: "Application {client_id} holds no permission of WindowsDefenderATP in directory {directory_id}."},
		{status: 403, hints: []string{"application permissions", "application roles", "required roles"}, to: fault.CodePermissionMissing,
			detail: lacksPermission, cause: notAdded},
		{status: 403, when: and(readable, permitted), to: fault.CodeAccessBlocked,
			detail: "Microsoft Defender refuses {api} to application {client_id}, although it holds the permission {permission}.",
			cause:  "A permission that was granted minutes ago takes effect after a while; else Microsoft Defender restricts the application in this directory.",
			remedy: "Wait some minutes and validate again. If it persists, look for a restriction of API access in the Microsoft Defender portal, or ask Microsoft's support with the request ids told here."},
		{status: 403, when: readable, to: fault.CodePermissionMissing,
			detail: lacksPermission, cause: notAdded},
		{status: 403, to: fault.CodeUpstreamUnexpected,
			detail: "A 403 that is none of Microsoft Defender's came back for {api}.",
			cause:  between,
			remedy: "The operator checks the outbound network."},

		// A token Entra ID has just issued and Defender does not take.
		{status: 401, when: and(readable, bySecret), to: fault.CodeCredentialsInvalid, detail: tokenRefused, cause: notTogether,
			remedy: "Check that application and directory belong together and that Defender for Endpoint is active there; if so, create a new client secret and rotate it here."},
		{status: 401, when: readable, to: fault.CodeCredentialsInvalid, detail: tokenRefused, cause: notTogether,
			remedy: "Check that application and directory belong together and that Defender for Endpoint is active there; if so, ask Microsoft's support with the request ids told here."},
		{status: 401, to: fault.CodeUpstreamUnexpected,
			detail: "A 401 that is none of Microsoft Defender's came back for {api}.", cause: between, remedy: "The operator checks the outbound network."},

		// Routes come and go for hours; that is no verdict on the customer.
		{status: 404, to: fault.CodeUpstreamUnavailable, detail: "Microsoft Defender does not offer {api} at the moment."},
		{status: 410, to: fault.CodeUpstreamUnavailable, detail: "Microsoft Defender does not offer {api} at the moment."},
		{status: 400, when: readable, to: fault.CodeUpstreamUnexpected, detail: "Microsoft Defender does not accept the form of the request for {api}.",
			cause:  "The request of this service no longer fits the interface of Microsoft Defender.",
			remedy: "Report what is told here, with the request ids in it: this service has to be changed."},
		{to: fault.CodeUpstreamUnexpected, detail: "Microsoft Defender answered the request for {api} in an unknown way."},
	}
}

const (
	lacksPermission = "Application {client_id} lacks the application permission {permission}, which {api} needs."
	tokenRefused    = "Microsoft Entra ID issued a token for application {client_id}, but Microsoft Defender does not accept it."
	notTogether     = "The application, the directory and the {cloud} cloud, which this service is configured for, do not belong together, or Microsoft Defender for Endpoint is not active in the directory."
	between         = "Something between this service and Microsoft, such as a proxy or a firewall, refused the request."
	notAdded        = "The permission {permission} of WindowsDefenderATP was not added as an application permission, or an administrator has not consented to it."
)

func refused(a answer, _ subject) bool {
	return a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
}

func readable(a answer, _ subject) bool { return a.readable }

// permitted tells that the token itself names the permission that the request needs.
func permitted(a answer, who subject) bool {
	return who.rolesKnown && grants(who.roles, permissionOf(a.endpoint))
}

// noRoles holds when the token is known to grant nothing that is needed here.
func noRoles(_ answer, who subject) bool { return who.rolesKnown && len(who.roles) == 0 }

func and(conditions ...func(answer, subject) bool) func(answer, subject) bool {
	return func(a answer, who subject) bool {
		return !slices.ContainsFunc(conditions, func(c func(answer, subject) bool) bool { return !c(a, who) })
	}
}
