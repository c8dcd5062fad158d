"""A seccomp filter: what a process apart may not ask of the kernel.

Needs no rights. Only the standard library, since it runs before everything else.
"""

import ctypes
import errno
import os
import platform
import struct

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Of a machine: the column of its numbers below, and the kernel's name for it."""
_DENIED = {
    # No network: without a socket there is none. io_uring could make one unseen.
    "socket": (41, 198),
    "socketpair": (53, 199),
    "io_uring_setup": (425, 425),
    # No processes: none can be left behind, none escapes our kill, none becomes another program.
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # No touching other processes, such as the one that started us.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    # No lifting of limits, which root could; no memory or queues that no limit counts.
    "setrlimit": (160, 164),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mq_open": (240, 180),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    # No changing what files are, which Landlock does not look at.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "utime": (132, None),
    "utimes": (235, None),
    "utimensat": (280, 88),
    "futimesat": (261, None),
    "truncate": (76, 45),
    # What only root could ask for, and attacks on the kernel begin with.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
}
_CLONE, _CLONE3, _TGKILL, _PRLIMIT = (56, 220), (435, 435), (234, 131), (302, 261)
_CLONE_THREAD = 0x10000
_X32 = 0x40000000
"""From here on x86_64 counts its system calls a second time."""

_PR_GET_SECCOMP, _PR_SET_SECCOMP, _FILTER = 21, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16


def available() -> bool:
    """Whether this kernel, on this machine, has such filters."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    return ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0  # type: ignore[no-any-return]


def restrict() -> None:
    """Put the filter before this process, of one thread, for good; it may get no new rights.

    Raises:
        OSError: the kernel refuses it.
    """
    program = _program()
    code = ctypes.create_string_buffer(program)
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.c_char_p(described), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp refuses the filter")


def _program() -> bytes:
    """The filter for the kernel's small machine: of each step code, where to go on, and a value."""
    column, architecture = _ARCHITECTURES[platform.machine()]

    def refuse_if(number: int | None, error: int = errno.EPERM) -> list[bytes]:
        if number is None:
            return []
        return [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | error)]

    steps = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),  # such as 32-bit calls, whose numbers are others
        _step(_LOAD, _NUMBER_AT),
    ]
    if column == 0:
        steps += [_step(_AT_LEAST, _X32, 0, 1), _step(_RETURN, _ERRNO | errno.EPERM)]
    for numbers in _DENIED.values():
        steps += refuse_if(numbers[column])
    # Hides its flags in memory, where a filter can't see them; told so, the C library uses clone.
    steps += refuse_if(_CLONE3[column], errno.ENOSYS)
    steps += [
        *(_step(_EQUAL, _CLONE[column], 0, 4), _step(_LOAD, _ARGUMENTS_AT)),
        *(_step(_ANY_BIT, _CLONE_THREAD, 1, 0), _step(_RETURN, _ERRNO | errno.EPERM)),
        _step(_RETURN, _ALLOW),
        # To itself only: so `abort` ends it.
        *(_step(_EQUAL, _TGKILL[column], 0, 4), _step(_LOAD, _ARGUMENTS_AT)),
        *(_step(_EQUAL, os.getpid(), 1, 0), _step(_RETURN, _ERRNO | errno.EPERM)),
        _step(_RETURN, _ALLOW),
        # Asking for limits, not setting them: the pointer to new ones is null.
        *(_step(_EQUAL, _PRLIMIT[column], 0, 5), _step(_LOAD, _ARGUMENTS_AT + 16)),
        *(_step(_EQUAL, 0, 0, 2), _step(_LOAD, _ARGUMENTS_AT + 20)),
        *(_step(_EQUAL, 0, 1, 0), _step(_RETURN, _ERRNO | errno.EPERM)),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(steps)


def _step(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_so, if_not, value)
