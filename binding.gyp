# Node-gyp's way to the same addon as CMakeLists.txt: CPU only, the sources listed by scripts/sources.mjs.
{
  'variables': {
    'napi_version': '8',
  },
  'target_defaults': {
    'include_dirs': ['.', 'native'],
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++20', '-fPIC', '-O3', '-ffp-contract=off', '-fvisibility=hidden', '-Wall', '-Wextra', '-Wno-psabi'],
    'defines': ['NDEBUG'],
    'xcode_settings': {
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++20',
      'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
      'GCC_ENABLE_CPP_RTTI': 'YES',
      'OTHER_CPLUSPLUSFLAGS': ['-O3', '-ffp-contract=off', '-fvisibility=hidden'],
    },
  },
  'targets': [
    {
      'target_name': 'adjudge_portable',
      'type': 'static_library',
      'sources': ['<!@(node scripts/sources.mjs portable)'],
    },
    {
      'target_name': 'adjudge',
      'sources': ['<!@(node scripts/sources.mjs napi)'],
      'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
      'defines': ['NAPI_VERSION=<(napi_version)', 'NODE_ADDON_API_CPP_EXCEPTIONS='],
      'dependencies': ['adjudge_portable'],
      'conditions': [
        ['OS=="linux"', { 'libraries': ['-ldl'] }],
        ['target_arch=="x64"', { 'dependencies': ['adjudge_avx2', 'adjudge_avx512', 'adjudge_avx512bf16'] }],
      ],
    },
  ],
  'conditions': [
    ['target_arch=="x64"', {
      'targets': [
        {
          'target_name': 'adjudge_avx2',
          'type': 'static_library',
          'sources': ['<!@(node scripts/sources.mjs avx2)'],
          'cflags_cc': ['-mavx2', '-mfma', '-mf16c'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['-mavx2', '-mfma', '-mf16c'] },
        },
        {
          'target_name': 'adjudge_avx512',
          'type': 'static_library',
          'sources': ['<!@(node scripts/sources.mjs avx512)'],
          'cflags_cc': ['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mfma', '-mf16c'],
        },
        {
          'target_name': 'adjudge_avx512bf16',
          'type': 'static_library',
          'sources': ['<!@(node scripts/sources.mjs avx512bf16)'],
          'cflags_cc': ['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mfma', '-mf16c', '-mavx512bf16'],
        },
      ],
    }],
  ],
}
