// Package hub downloads files of Hugging Face model repositories into the
// standard hub cache, and lets nothing into that cache that it has not
// verified.
//
//	var client hub.Client // endpoint, token and cache from the environment
//	repo, err := hub.ParseRepo("apple/OpenELM-270M-Instruct")
//	path, err := client.File(ctx, repo, "config.json")
//
// # The cache
//
// The cache is the one Python's huggingface_hub uses, and the two packages read
// each other's:
//
//	<cache>/models--<org>--<name>/
//	    blobs/<hash>                    contents, named by sha256 (LFS) or git blob id
//	    blobs/<hash>.incomplete         a download to be resumed
//	    snapshots/<commit>/<file>       relative symbolic link into blobs
//	    refs/<branch or tag>            the commit last seen there
//	    .no_exist/<commit>/<file>       the commit is known not to have that file
//	    trees/<commit>.json             the complete list of files of a commit
//	<cache>/.locks/models--<org>--<name>/<hash>.lock
//
// Where symbolic links cannot be made, snapshots hold the files themselves.
//
// A file appears under its final name only when its size and its hash are those
// the hub announced and its contents have reached the disk. All writes go
// through [os.Root], so that neither a repository nor a server can place a byte
// outside the repository's folder. Processes that download the same file wait for each
// other on the lock that the Python package also takes.
//
// # When the network is asked
//
//   - A file of a full commit hash that is in the cache: never.
//   - A file of a branch or tag: one HEAD request, which tells the current commit;
//     contents are transferred only if they are not in the cache. A [Source] asks
//     this once and stays on that commit.
//   - When the server cannot be reached, fails, or refuses access, the commit in
//     refs is used if the cache has what is asked for, so a second run works
//     without a network. The reason goes to the Logger. A [Source] then stays
//     with the cache, and takes what a snapshot has for all that there is.
//   - With Offline set: never.
//
// # The environment
//
// The zero [Client] follows the variables the Python package documents. Each has
// a field that overrides it, and [Client.Getenv] replaces the environment as a whole:
//
//	HF_ENDPOINT                          Client.Endpoint, https://huggingface.co by default
//	HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME  Client.CacheDir, ~/.cache/huggingface/hub by default
//	HF_TOKEN, HF_TOKEN_PATH              Client.Token; the file $HF_HOME/token by default
//	HF_HUB_OFFLINE                       Client.Offline
//	HF_HUB_DISABLE_IMPLICIT_TOKEN        use no token but Client.Token
//	HF_HUB_DISABLE_SYMLINKS              copy instead of linking
//
// # Secrets
//
// The token is sent to the endpoint and to no other scheme, host or port,
// whatever a redirect says. Errors and log records carry no token and no query
// string, where signed URLs keep theirs.
package hub
