/* A library without replication: its functions are there, and say so. */
#include "check.h"

int main(void)
{
    tidelog_error error = {0};
    tidelog_store *store = NULL;
    tidelog_node *node = NULL;
    tidelog_result *result = NULL;
    tidelog_peer peer = {"b", "127.0.0.1:9", "tl1-x"};
    tidelog_node_options options = {0};
    tidelog_sync_options sync = {0};
    char text[TIDELOG_TEXT_SIZE];
    CHECK((tidelog_features() & TIDELOG_FEATURE_REPLICATION) == 0);
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &store, &error));
    options.struct_size = sizeof options;
    options.listen = "127.0.0.1:0";
    options.identity = "keys";
    options.peers = &peer;
    options.peer_count = 1;
    options.peer_stride = sizeof peer;
    GIVES(TIDELOG_UNSUPPORTED, tidelog_node_start(store, &options, &node, &error));
    CHECK(node == NULL && strstr(error.message, "tidelog_features"));
    GIVES(TIDELOG_UNSUPPORTED, tidelog_identity_create(store, "keys", 0, text, sizeof text, &error));
    GIVES(TIDELOG_UNSUPPORTED, tidelog_identity_fingerprint("keys", text, sizeof text, &error));
    tidelog_policy_table table = {0};
    table.struct_size = sizeof table;
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_node_set_policy(node, NULL, &error));
    options.policy = &table;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_start(store, &options, &node, &error));
    sync.struct_size = sizeof sync;
    sync.peer = peer.address;
    sync.fingerprint = peer.fingerprint;
    sync.identity = "keys";
    GIVES(TIDELOG_UNSUPPORTED, tidelog_sync(store, &sync, &result, &error));
    WORKS(tidelog_close(&store, &error));
    return 0;
}
