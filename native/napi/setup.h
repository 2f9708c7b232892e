// The one include of napi.h: C++ exceptions, Node-API 8.
#pragma once

#ifndef NODE_ADDON_API_CPP_EXCEPTIONS
#define NODE_ADDON_API_CPP_EXCEPTIONS
#endif
#ifndef NAPI_VERSION
#define NAPI_VERSION 8
#endif
#include <napi.h>
