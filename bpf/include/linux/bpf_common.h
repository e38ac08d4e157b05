/* Empty: bcc's copy of the bpf interface includes it for the classic filter's opcodes, which we do not use. */
