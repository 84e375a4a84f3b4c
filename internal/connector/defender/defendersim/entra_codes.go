package defendersim

import (
	"maps"
	"slices"
)

// wording is how Entra ID refuses with one AADSTS number.
type wording struct {
	word   string // OAuth's error
	status int
	text   string
}

const (
	noResource = "The resource principal named {resource} was not found in the tenant named {domain}. This can happen if the application has not been " +
		"installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant."
	noTenantInfo = "No tenant-identifying information found in either the request or implied by any provided credentials."
	blocked      = "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."
	noMatch      = "No matching federated identity record found for presented assertion "
)

// refusals are worded after the page "Microsoft Entra authentication and authorization error codes" and observed answers. Of 7000112,
// 500011, 500014, 1002012, 900144, of the numbers about consent, clouds and restrictions, and of passing faults, the number
// is known and the status is assumed; the switch entra_status changes it.
var refusals = map[int]wording{
	// The secret.
	7000215: {"invalid_client", 401, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, " +
		"for a secret added to app '{app}'."},
	7000222: {"invalid_client", 401, "The provided client secret keys for app '{app}' are expired. Visit the Azure portal to create new keys for your app, " +
		"or consider using certificate credentials for added security."},
	7000216: {"invalid_client", 401, "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."},
	7000218: {"invalid_client", 401, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."},
	700025:  {"invalid_client", 401, "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."},

	// Certificates and federated identities.
	50027:  {"invalid_client", 401, "JWT token is invalid or malformed."},
	50013:  {"invalid_client", 401, "Assertion failed signature validation. [Reason - {reason}.]"},
	700027: {"invalid_client", 401, "Client assertion contains an invalid signature. [Reason - {reason}., Thumbprint of key used by client: '{thumbprint}']"},
	700024: {"invalid_client", 401, "Client assertion is not within its valid time range. Current time: {now}, expiry time of assertion {expiry}."},
	700023: {"invalid_client", 401, "Client assertion audience claim does not match Realm issuer."},
	700021: {"invalid_client", 401, "Client assertion application identifier doesn't match 'client_id' parameter."},
	700211: {"invalid_client", 401, noMatch + "issuer '{issuer}'."},
	700212: {"invalid_client", 401, noMatch + "audience '{audience}'."},
	700213: {"invalid_client", 401, noMatch + "subject '{subject}'."},

	// The application.
	700016: {"unauthorized_client", 400, "Application with identifier '{app}' was not found in the directory '{domain}'. This can happen if the application has not been " +
		"installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."},
	700011:  {"unauthorized_client", 400, "Application with identifier '{app}' was not found in the directory '{domain}'."},
	70001:   {"unauthorized_client", 400, "The application named {app} was not found in the tenant named {domain}."},
	7000229: {"invalid_client", 401, "The client application {app} is missing service principal in the tenant {directory}."},
	7000112: {"unauthorized_client", 400, "Application '{app}' is disabled."},

	// The directory and the cloud.
	90002: {"invalid_request", 400, "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. " +
		"Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."},
	900023:  {"invalid_request", 400, "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."},
	900021:  {"invalid_request", 400, "Requested tenant identifier '{tenant}' is not valid. Tenant identifiers may not be an empty GUID."},
	50059:   {"invalid_request", 400, noTenantInfo},
	90019:   {"invalid_request", 400, noTenantInfo},
	50194:   {"invalid_request", 400, "Application '{app}' is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps."},
	9001023: {"invalid_request", 400, "The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint."},
	90038:   {"invalid_request", 400, "Tenant '{tenant}' request is being redirected to the National Cloud."},
	900382:  {"invalid_request", 400, "Confidential Client is not supported in Cross Cloud request."},
	900432:  {"invalid_request", 400, "Confidential Client is not supported in Cross Cloud request."},

	// Policies.
	53003:  {"invalid_grant", 400, blocked},
	530032: {"invalid_grant", 400, "Tenant's security policy has blocked this request."},
	530035: {"invalid_grant", 400, "Access has been blocked by security defaults."},
	50131:  {"invalid_grant", 400, "Conditional Access blocked the request because of suspicious activity, access policy or security policy decisions."},
	500021: {"access_denied", 400, "Access to '{domain}' tenant is denied."},
	500022: {"access_denied", 400, "Access to '{domain}' tenant is denied: tenant restrictions are not configured for it."},
	500212: {"access_denied", 400, "The administrator of '{domain}' has set an outbound access policy that does not allow access to the resource tenant."},
	500213: {"access_denied", 400, "The resource tenant's cross-tenant access policy does not allow this access."},

	// The resource and consent.
	500011: {"invalid_resource", 400, noResource},
	50001:  {"invalid_resource", 400, noResource},
	500014: {"invalid_resource", 400, "The service principal for resource '{resource}' is disabled. This indicate that a subscription within the tenant has lapsed, " +
		"or that the administrator for this tenant has disabled the application, preventing tokens from being issued for it."},
	65001:  {"invalid_grant", 400, "The user or administrator has not consented to use the application with ID '{app}'."},
	650052: {"invalid_client", 400, "The app needs access to a service '{resource}' that your organization '{domain}' has not subscribed to or enabled."},
	650056: {"invalid_client", 400, "Misconfigured application. The client has not listed any permissions for '{resource}' in its registration."},
	650057: {"invalid_resource", 400, "Invalid resource. The client has requested access to a resource which is not listed in the requested permissions."},
	90094:  {"invalid_grant", 400, "The grant requires administrator permissions."},

	// The form.
	1002012: {"invalid_scope", 400, "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed " +
		"to the resource identifier (application ID URI)."},
	70011:   {"invalid_scope", 400, "The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."},
	700022:  {"invalid_scope", 400, "The provided value for the input parameter scope '{scope}' is not valid because it contains more than one resource."},
	70003:   {"unsupported_grant_type", 400, "The app requested an unsupported grant type '{grant}'."},
	900144:  {"invalid_request", 400, "The request body must contain the following parameter: '{parameter}'."},
	90014:   {"invalid_request", 400, "The required field '{parameter}' is missing from the credential."},
	9002313: {"invalid_request", 400, "Invalid request. Request is malformed or invalid."},
	900561:  {"invalid_request", 400, "The endpoint only accepts POST requests. Received a {method} request."},

	// Throttling and passing faults.
	50196: {"invalid_grant", 400, "The server terminated an operation because it encountered a client request loop."},
	90055: {"invalid_grant", 429, "There are too many incoming requests for tenant '{directory}'."},
	90033: {"temporarily_unavailable", 503, "A transient error has occurred. Please try again."},
	90006: {"temporarily_unavailable", 503, "The service is temporarily unavailable."},
	90024: {"temporarily_unavailable", 503, "The request budget was exceeded. A transient error has occurred."},
	90012: {"temporarily_unavailable", 503, "The request has timed out."},
	50033: {"temporarily_unavailable", 503, "A transient error has occurred. Please try again."},
	90090: {"temporarily_unavailable", 503, "An internal retryable error occurred."},
}

// policyRefusals carry a suberror and, as claims, the policies that block.
var policyRefusals = []int{53003, 530032, 530035, 50131}

// RefusalCodes are the AADSTS numbers that App.RefuseWith accepts, in order.
func RefusalCodes() []int { return slices.Sorted(maps.Keys(refusals)) }
