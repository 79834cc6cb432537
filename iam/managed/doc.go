// Package managed holds the policies that AWS manages, those under arn:aws:iam::aws:policy/…, and lets an operator add to
// them.
//
// It owns the documents and their descriptions; what they grant is policy's matter, how they are listed and attached iam's.
// The documents are stint's own wording of what AWS's policies of the same name grant. AWS changes its policies as services
// come and go; these follow the ones that people rely on, and may lack actions of services that stint's users do not run.
//
// # Files
//
// Built-in policies and those of an operator have one format: a JSON file for each policy.
//
//	{
//	  "name": "BucketReader",                  required; 1 to 128 of letters, digits and +=,.@_-
//	  "path": "/storage/",                     default "/"
//	  "description": "Reads every bucket.",    at most 1,000 characters
//	  "version": "v3",                         default "v1"; raise it when the document changes
//	  "created": "2026-01-31T00:00:00Z",       RFC 3339; left out of answers when it is not given
//	  "updated": "2026-02-28T00:00:00Z",       when the document last changed; default "created"
//	  "document": {"Version": "2012-10-17", "Statement": []}
//	}
//
// Other keys are refused, and so are keys given twice. Names are unique ignoring case, also across paths; an operator's
// policy cannot take the place of a built-in one.
package managed
