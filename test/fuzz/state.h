/*
 * Included before every file that is built for fuzzing.  It puts the server's variables
 * into separate sections, where test/fuzz/memory.c saves and restores them for each
 * input.
 */
#pragma clang section bss = "state_bss" data = "state_data"
